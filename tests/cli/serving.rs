//! `serve --stdio`: a line of JSON in, a line of JSON out, from one process that stays.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use artifact_store::{Options, Store};
use serde_json::{Value, json};

use crate::sandbox::Sandbox;
use crate::study::{ONE_ALL_REDUCE, RING_OF_4};

struct Server {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Server {
    fn start(sandbox: &Sandbox, arguments: &str) -> Self {
        let mut command = sandbox.command(&format!("serve --stdio {arguments}"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (requests, answers) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, requests, answers }
    }

    fn send(&mut self, line: &[u8]) {
        let requests = self.requests.as_mut().unwrap();
        requests.write_all(line).and_then(|()| requests.write_all(b"\n")).unwrap();
    }

    fn receive(&mut self) -> Value {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"))
    }

    fn ask(&mut self, request: &Value) -> Value {
        self.send(request.to_string().as_bytes());
        self.receive()
    }

    fn ok(&mut self, request: &Value) -> Value {
        let answer = self.ask(request);
        assert!(answer.get("error").is_none(), "{answer}");
        answer["ok"].clone()
    }

    fn error(&mut self, request: &Value) -> String {
        let answer = self.ask(request);
        answer["error"]["message"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// Ends the input; the process has to end, too.
    fn end(mut self) {
        drop(self.requests.take());
        assert!(self.child.wait().unwrap().success());
    }
}

fn ring_of_4() -> Value {
    json!({
        "parallelism": { "tp": 4 },
        "network": { "dimensions": [{
            "id": "ring", "size": "auto", "parallelisms": ["tp"],
            "topology": { "type": "Ring", "bandwidth": 53_687_091_200.0, "latency": 500e-9, "util": 1.0 },
        }] },
        "execution_backend": { "model": "astra", "astra": { "sys_options": { "preferred_dataset_splits": 4 } } },
    })
}

fn all_reduce(size_bytes: u64) -> Value {
    json!({
        "do": "point",
        "hardware": ring_of_4(),
        "ranks": 4,
        "workload": { "kind": "collective", "collective": "all_reduce", "size_bytes": size_bytes },
    })
}

#[test]
fn a_point_is_simulated_once_and_then_known_here_and_to_the_next_process() {
    let sandbox = Sandbox::new();
    let mut server = Server::start(&sandbox, "");
    assert_eq!(server.ok(&json!({ "do": "hello" }))["protocol"], 1);
    let first = server.ok(&all_reduce(1 << 20));
    assert_eq!((&first["finish_ns"], &first["hit"]), (&json!(vec![43_000; 4]), &json!(false)));
    for _ in 0..2 {
        let again = server.ok(&all_reduce(1 << 20));
        assert_eq!(
            (&again["finish_ns"], &again["hit"], &again["key"]),
            (&first["finish_ns"], &json!(true), &first["key"])
        );
    }
    assert_ne!(server.ok(&all_reduce(1 << 21))["finish_ns"], first["finish_ns"]);
    server.end();
    let mut next = Server::start(&sandbox, "");
    assert_eq!(next.ok(&all_reduce(1 << 20))["hit"], true);
    next.end();
    sandbox.assert_store_is_good();
}

#[test]
fn a_point_that_another_process_does_not_finish_is_simulated_here_too() {
    let sandbox = Sandbox::new();
    let mut elsewhere = Server::start(&sandbox, "--store elsewhere");
    let point = all_reduce(1 << 20);
    let known = elsewhere.ok(&point);
    elsewhere.end();
    // This process simulates the same, and takes its time.
    let store = Store::open(sandbox.path("store"), &Options::default()).unwrap();
    let key = known["key"].as_str().unwrap().parse().unwrap();
    let claim = store.claim(&key).unwrap().unwrap();
    let mut server = Server::start(&sandbox, "--lock-timeout 0");
    let answer = server.ok(&point);
    assert_eq!((&answer["finish_ns"], &answer["hit"]), (&known["finish_ns"], &json!(false)));
    assert!(answer["notices"][0].as_str().unwrap().ends_with("simulating here, too"), "{answer}");
    server.end();
    drop(claim);
    assert!(store.hit(&key).unwrap().is_some());
}

#[test]
fn a_point_is_the_run_of_the_recipe_that_says_the_same() {
    let sandbox = Sandbox::new();
    sandbox.write("hardware.yaml", RING_OF_4);
    sandbox.write("recipe.json", ONE_ALL_REDUCE);
    sandbox.build("");
    let mut server = Server::start(&sandbox, "");
    let mut point = all_reduce(1 << 20);
    assert_eq!(server.ok(&point)["hit"], true);
    point["hardware"]["network"]["dimensions"][0]["topology"]["latency"] = 501e-9.into();
    assert_eq!(server.ok(&point)["hit"], false);
    point["hardware"] = "hardware.yaml".into();
    assert_eq!(server.ok(&point)["hit"], false, "one split, as the file says");
    sandbox.write("hardware.yaml", RING_OF_4.replace("500e-9", "700e-9"));
    assert_eq!(server.ok(&point)["hit"], false, "a file is read each time");
    server.end();
}

#[test]
fn files_are_written_and_simulated() {
    let sandbox = Sandbox::new();
    let mut server = Server::start(&sandbox, "");
    let configs =
        json!({ "do": "configs", "hardware": ring_of_4(), "ranks": 4, "out": "made", "unique": "x1" });
    let written = server.ok(&configs);
    assert_eq!(written["topology"], json!(["Ring"]));
    assert_eq!(written["npus"], json!([4]));
    assert_eq!(written["network"], "made/network_analytical_4_x1.yml");
    let traces =
        |content: Value| json!({ "do": "traces", "prefix": "made/trace", "ranks": 4, "content": content });
    let collective = json!({ "kind": "collective", "collective": "allreduce", "name": "all_reduce_1.00MB", "size_bytes": 1 << 20 });
    assert_eq!(server.ok(&traces(collective))["files"], 4);
    let simulate = json!({
        "do": "simulate", "workload": "made/trace", "network": written["network"], "system": written["system"],
    });
    let first = server.ok(&simulate);
    assert_eq!((&first["finish_ns"], &first["hit"]), (&json!(vec![43_000; 4]), &json!(false)));
    assert_eq!(server.ok(&simulate)["hit"], true);
    let sequence = json!({ "kind": "sequence", "items": [
        { "collective": "all_reduce", "name": "all_reduce", "size_bytes": 1 << 20, "delay_us": 7 },
    ]});
    server.ok(&traces(sequence));
    assert_eq!(server.ok(&simulate)["finish_ns"], json!(vec![50_000; 4]), "the traces are read each time");
    server.end();
}

#[test]
fn a_bad_line_is_answered_and_the_next_one_is_read() {
    let sandbox = Sandbox::new();
    let mut server = Server::start(&sandbox, "");
    let good = json!({ "id": 7, "do": "hello" });
    for bad in [
        &b"not json"[..],
        b"[1]",
        b"{\"do\": \"hello\"",
        b"\xff\xfe",
        b"{}",
        b"{\"do\":\"sing\"}",
        b"{\"do\":\"hello\",\"x\":1}",
    ] {
        server.send(bad);
        let answer = server.receive();
        assert_eq!((&answer["id"], &answer["error"]["exit_code"]), (&Value::Null, &json!(2)), "{answer}");
        assert_eq!(server.ask(&good)["id"], 7);
    }
    server.send(b"");
    assert_eq!(server.ask(&good)["id"], 7, "an empty line asks nothing");
    server.send(&vec![b' '; (16 << 20) + 1]);
    assert!(server.receive()["error"]["message"].as_str().unwrap().contains("16777216 bytes"));
    assert_eq!(server.ask(&good)["id"], 7);
    server.end();
}

#[test]
fn what_is_wrong_with_a_request_is_said() {
    let sandbox = Sandbox::new();
    let mut server = Server::start(&sandbox, "");
    let mut misspelt = all_reduce(1 << 20);
    misspelt["flaten_2d"] = true.into();
    assert!(server.error(&misspelt).starts_with("flaten_2d: unknown key, expected one of "));
    let with = |path: &str, value: Value| {
        let mut point = all_reduce(1 << 20);
        *point.pointer_mut(path).unwrap() = value;
        point
    };
    for (request, says) in [
        (with("/ranks", json!(5)), "hardware: ranks: 5 ranks are no product"),
        (with("/workload/collective", json!("all_reduse")), "unknown collective `all_reduse`"),
        (with("/workload/size_bytes", json!(0)), "the size is 0 bytes"),
        (
            with("/hardware/network/dimensions/0/topology/type", json!("Rnig")),
            "network.dimensions[0].topology.type",
        ),
        (with("/hardware", json!("nowhere.yaml")), "nowhere.yaml: there is no such file"),
        (with("/hardware", json!([1])), "expected a mapping"),
        (with("/workload", json!({ "kind": "transfer", "size_bytes": 1 })), "a transfer has 2 ranks, not 4"),
        (with("/workload", json!({ "kind": "et", "traces": "none" })), "none.0.et: there is no such file"),
        (
            json!({ "do": "simulate", "workload": "w", "network": "n", "system": "s" }),
            "n: there is no such file",
        ),
        (
            json!({ "do": "configs", "hardware": ring_of_4(), "ranks": 4, "out": "o", "unique": "../x" }),
            "cannot be part of a name",
        ),
    ] {
        let said = server.error(&request);
        assert!(said.contains(says), "{said}");
    }
    server.end();
}

#[test]
fn a_value_of_the_wrong_kind_is_named_by_its_key_with_what_is_expected() {
    let sandbox = Sandbox::new();
    let mut server = Server::start(&sandbox, "");
    let sizes = "expected a whole number from 0 to 9223372036854775807";
    let mut said = |path: &str, key: &str, value: Value| {
        let mut point = all_reduce(1 << 20);
        point.pointer_mut(path).unwrap()[key] = value;
        server.error(&point)
    };
    for value in ["-1", "1.5", "9223372036854775808"] {
        let found = said("/workload", "size_bytes", serde_json::from_str(value).unwrap());
        assert_eq!(found, format!("workload.size_bytes: {sizes}, found `{value}`"));
    }
    assert_eq!(
        said("", "ranks", json!(1e300)),
        "ranks: expected a whole number from 0 to 4294967295, found `1e+300`"
    );
    assert_eq!(said("", "ranks", Value::Null), "ranks: missing required key");
    assert_eq!(said("", "axes", json!(["tp", 4])), "axes[1]: expected text, found `4`");
    assert_eq!(said("", "workload", json!([1])), "workload: expected an object, found a list");
    assert_eq!(
        said("", "engine", json!({ "queues_per_dimension": 0 })),
        "engine.queues_per_dimension: expected a whole number from 1 to 1024, found `0`"
    );
    assert_eq!(
        said("/workload", "kind", json!("colective")),
        "workload.kind: unknown word `colective`, expected one of collective, transfer, et"
    );
    assert!(
        said("/workload", "collective", json!("sum")).starts_with("workload.collective: unknown collective")
    );
    let mut item = |key: &str, value: Value| {
        let mut item = json!({ "collective": "all_reduce", "name": "x", "size_bytes": 1024 });
        item[key] = value;
        let content = json!({ "kind": "sequence", "items": [item] });
        server.error(&json!({ "do": "traces", "prefix": "et/x", "ranks": 4, "content": content }))
    };
    assert_eq!(
        item("delay_us", json!(-1)),
        "content.items[0].delay_us: expected a whole number from 0 to 18446744073709551615, found `-1`"
    );
    assert_eq!(
        item("size_bytes", json!("1 MiB")),
        format!("content.items[0].size_bytes: {sizes}, found the text `1 MiB`")
    );
    assert!(item("collective", json!("sum")).starts_with("content.items[0].collective: unknown collective"));
    server.end();
}

#[test]
fn a_number_of_traces_that_is_wrong_by_some_digits_does_not_fill_the_disk() {
    let sandbox = Sandbox::new();
    let mut server = Server::start(&sandbox, "");
    let collective =
        json!({ "kind": "collective", "collective": "all_reduce", "name": "x", "size_bytes": 1024 });
    for content in [collective, json!({ "kind": "sequence", "items": [] })] {
        let asked = json!({ "do": "traces", "prefix": "et/x", "ranks": 65_537, "content": content });
        assert_eq!(server.error(&asked), "ranks: 65537 traces are more than are written at once (65536)");
    }
    assert!(!sandbox.path("et").exists());
    server.end();
}

#[test]
fn the_cache_modes_hold_for_a_server() {
    let sandbox = Sandbox::new();
    let mut none = Server::start(&sandbox, "--cache NO_CACHE");
    let mut early = Server::start(&sandbox, "--cache CACHE_READONLY");
    for server in [&mut none, &mut early] {
        for _ in 0..2 {
            assert_eq!(server.ok(&all_reduce(1 << 20))["hit"], false);
        }
    }
    none.end();
    early.end();
    assert!(!sandbox.path("store").exists());
    let mut writer = Server::start(&sandbox, "");
    writer.ok(&all_reduce(1 << 20));
    let mut reader = Server::start(&sandbox, "--cache CACHE_READONLY");
    assert_eq!(reader.ok(&json!({ "do": "hello" }))["writes"], false);
    assert_eq!(reader.ok(&all_reduce(1 << 20))["hit"], true);
    for _ in 0..2 {
        assert_eq!(reader.ok(&all_reduce(1 << 21))["hit"], false, "it is not kept");
    }
    writer.ok(&all_reduce(1 << 21));
    assert_eq!(reader.ok(&all_reduce(1 << 21))["hit"], true, "what others write is seen");
    writer.end();
    let before = sandbox.files("store");
    assert_eq!(reader.ok(&all_reduce(1 << 20))["hit"], true);
    reader.end();
    assert!(sandbox.files("store") == before);
}
