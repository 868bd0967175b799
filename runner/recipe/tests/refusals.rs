use super::super::Recipe;
use super::{WORKLOAD, recipe, refused};
use crate::ErrorKind;

/// The message for a recipe whose whole text is given.
fn whole(text: &str) -> String {
    refused(Recipe::parse(text.as_bytes(), "r.json"))
}

/// The message for these keys beside format, name, hardware and a workload; without the place in the text.
fn option(rest: &str) -> String {
    let message = refused(recipe(&format!("{WORKLOAD},{rest}")));
    message.split_once(": ").unwrap().1.to_owned()
}

/// The message for a workload; without the place in the text.
fn workload(json: &str) -> String {
    let message = refused(recipe(&format!("\"workload\":{json}")));
    message.split_once(": ").unwrap().1.to_owned()
}

#[test]
fn a_missing_file_is_named_and_the_way_on_told() {
    let error = Recipe::load(std::path::Path::new("no/such.json")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert_eq!(error.to_string(), "no/such.json: there is no such file");
    assert!(error.hint_text().unwrap().contains("astra-store init"));
}

#[test]
fn a_directory_is_no_recipe() {
    let dir = tempfile::tempdir().unwrap();
    assert!(refused(Recipe::load(dir.path())).contains("cannot be read"));
}

#[test]
fn bad_json_is_reported_with_line_and_column() {
    assert_eq!(whole("{\n \"recipe\": 1,\n \"name\" \"x\"\n}"), "r.json:3:9: not valid JSON: expected `:`");
    assert_eq!(
        refused(Recipe::parse(b"{\"a\": \"\xff\"}", "r.json")),
        "r.json: not UTF-8 text: byte 7 is not part of a character"
    );
    assert!(whole("[]").ends_with("expected an object, found a list"), "{}", whole("[]"));
}

#[test]
fn an_unknown_key_has_place_path_and_suggestion() {
    let text = r#"{
  "recipe": 1, "name": "t", "hw": "a.yaml",
  "workload": { "kind": "collective", "collective": "all_reduce",
                "rank": 8, "size": 1 }
}"#;
    assert_eq!(
        whole(text),
        "r.json:4:17: workload.rank: unknown key `rank`, expected one of `kind`, `collective`, `ranks`, `size`, \
         `edits` [did you mean `ranks`?]"
    );
    assert!(option(r#""engin":{}"#).ends_with("[did you mean `engine`?]"));
}

#[test]
fn the_format_number_is_needed_and_a_newer_one_says_so() {
    assert!(whole("{}").contains("recipe: missing: `\"recipe\": 1`"));
    assert_eq!(
        whole(r#"{"recipe": 2, "novelty": true}"#),
        "r.json:1:2: recipe: format 2 is newer than this program, which reads 1 [use a newer astra-store]"
    );
    for bad in ["0", "-1", "1.5", "\"1\"", "null"] {
        let message = whole(&format!(r#"{{"recipe": {bad}}}"#));
        assert!(message.contains("recipe: expected the format number 1, found"), "{message}");
    }
}

#[test]
fn required_keys_are_named_with_what_belongs_there() {
    let with = |keys: &str| whole(&format!(r#"{{"recipe":1{keys}}}"#));
    assert!(with("").contains("name: missing: a name"), "{}", with(""));
    let message = with(r#","name":"t""#);
    assert!(message.contains("hw: missing: the path of a hardware file is needed here"), "{message}");
    let message = with(r#","name":"t","hw":"a.yaml""#);
    assert!(message.contains("workload: missing: what the ranks do"), "{message}");
    assert!(
        workload("{}").contains("workload.kind: missing: one of `collective`, `sequence`, `pipeline`, `et`")
    );
    for (kind, key) in [
        (r#""kind":"collective","ranks":8,"size":1"#, "collective"),
        (r#""kind":"collective","collective":"all_reduce","size":1"#, "ranks"),
        (r#""kind":"collective","collective":"all_reduce","ranks":8"#, "size"),
        (r#""kind":"sequence","ranks":8"#, "items"),
        (r#""kind":"pipeline","ranks":8,"compute":1000,"size":1"#, "microbatches"),
        (r#""kind":"pipeline","ranks":8,"microbatches":1,"size":1"#, "compute"),
        (r#""kind":"pipeline","ranks":8,"microbatches":1,"compute":1000"#, "size"),
        (r#""kind":"et","traces":"t""#, "ranks"),
        (r#""kind":"et","ranks":8"#, "traces"),
    ] {
        let message = workload(&format!("{{{kind}}}"));
        assert!(message.starts_with(&format!("workload.{key}: missing: ")), "{message}");
    }
}

#[test]
fn a_name_must_be_safe_as_a_file_name() {
    for bad in ["../x", ".hidden", "a/b", "a b", "\u{e9}", "-x", &"x".repeat(101)] {
        let message = whole(&format!(r#"{{"recipe":1,"name":"{bad}"}}"#));
        assert!(message.contains("name: the name `"), "{message}");
    }
    assert!(whole(r#"{"recipe":1,"name":""}"#).contains("name: empty text"));
    assert!(whole(r#"{"recipe":1,"name":7}"#).contains("name: expected text, found `7`"));
}

#[test]
fn an_absolute_hardware_path_is_refused() {
    let message = whole(r#"{"recipe":1,"name":"t","hw":"/data/a.yaml"}"#);
    assert!(message.contains("hw: `/data/a.yaml` is an absolute path"), "{message}");
}

#[test]
fn a_workload_kind_that_is_not_there_lists_those_that_are() {
    assert_eq!(
        workload(r#"{"kind":"training","ranks":8}"#),
        "workload.kind: this version has no workload kind `training`; it has `collective`, `sequence`, `pipeline`, `et`, `graph`"
    );
    assert!(workload(r#"{"kind":"pipelin"}"#).ends_with("[did you mean `pipeline`?]"));
    assert!(workload("7").contains("workload: expected an object, found `7`"));
}

#[test]
fn counts_are_whole_numbers_from_one_to_a_million() {
    for bad in ["0", "-3", "1.5", "\"8\"", "4294967304", "1048577", "true", "null"] {
        let message =
            workload(&format!(r#"{{"kind":"collective","collective":"all_reduce","ranks":{bad},"size":1}}"#));
        assert!(
            message.starts_with("workload.ranks: expected a whole number from 1 to 1048576, found "),
            "{message}"
        );
    }
}

#[test]
fn a_bad_size_says_what_is_accepted() {
    let size = |json: &str| {
        workload(&format!(r#"{{"kind":"collective","collective":"all_reduce","ranks":8,"size":{json}}}"#))
    };
    let message = size("\"64 XB\"");
    assert!(message.starts_with("workload.size: unknown unit `XB` in `64 XB`, expected "), "{message}");
    assert!(message.contains("KiB, MiB, GiB, TiB: powers of 1024"), "{message}");
    assert!(size("\"64 mib\"").ends_with("[did you mean `MiB`?]"));
    assert!(size("0").contains("a size of 0"));
    assert!(size("\"0 MiB\"").contains("a size of 0"));
    for bad in ["-1", "1.5", "1e300", "18446744073709551615", "true", "[1]", "null"] {
        assert!(size(bad).starts_with("workload.size: expected a whole number of bytes"), "{}", size(bad));
    }
}

#[test]
fn a_time_is_whole_microseconds_because_traces_count_so() {
    let time = |json: &str| {
        workload(&format!(r#"{{"kind":"pipeline","ranks":2,"microbatches":1,"size":1,"compute":{json}}}"#))
    };
    assert_eq!(
        time("\"1500 ns\""),
        "workload.compute: the text `1500 ns` is not a whole number of microseconds, in which traces count time \
         [the next one is \"2 us\"]"
    );
    assert!(time("500").contains("workload.compute: `500` is not a whole number of microseconds"));
    assert!(time("\"5 min\"").contains("unknown unit `min`"));
    assert!(time("false").contains("expected a whole number of nanoseconds"));
    assert!(time("9223372036854775807").contains("not a whole number of microseconds"));
}

#[test]
fn an_unknown_collective_is_suggested() {
    let message = workload(r#"{"kind":"collective","collective":"all-reduce","ranks":8,"size":1}"#);
    assert!(message.starts_with("workload.collective: unknown collective `all-reduce`"), "{message}");
    assert!(message.ends_with("[did you mean `all_reduce`?]"), "{message}");
}

#[test]
fn items_of_a_sequence_are_checked_where_they_stand() {
    let items = |items: &str| workload(&format!(r#"{{"kind":"sequence","ranks":4,"items":{items}}}"#));
    let item = |rest: &str| format!(r#"{{"collective":"all_reduce","size":1{rest}}}"#);
    assert!(items("[]").contains("workload.items: an empty list"));
    assert!(items("{}").contains("workload.items: expected a list"));
    let (plain, waits) = (item(""), item(r#","after":["all_reduce_0","al_reduce_0"]"#));
    assert_eq!(
        items(&format!("[{plain},{waits}]")),
        "workload.items[1].after[1]: no earlier item is named `al_reduce_0`; an item can wait only for items before it \
         [did you mean `all_reduce_0`?]"
    );
    let itself = item(r#","name":"a","after":"a""#);
    assert!(
        items(&format!("[{itself}]")).starts_with("workload.items[0].after: no earlier item is named `a`")
    );
    let named = item(r#","name":"a""#);
    assert!(
        items(&format!("[{named},{named}]"))
            .contains("items[1].name: the name `a` is that of item 0 already")
    );
    let unknown = item(r#","dealy":1"#);
    assert!(items(&format!("[{unknown}]")).ends_with("[did you mean `delay`?]"));
    assert!(items(&format!("[{}]", item(r#","delay":"1 ns""#))).contains("workload.items[0].delay: "));
}

#[test]
fn options_are_checked_word_by_word() {
    for (rest, expected) in [
        (
            r#""policy":{"plugin":"By size"}"#,
            "policy.plugin: `By size` is neither the name of a policy nor the path of a library",
        ),
        (r#""policy":{"plugin":"/lib/tuner.so"}"#, "policy.plugin: `/lib/tuner.so` is an absolute path"),
        (
            r#""policy":{"plugin":"csv","config":"a","config_file":"b"}"#,
            "policy.config_file: `config` gives the configuration already",
        ),
        (r#""policy":{"collectives":{"allreduce":"ring"}}"#, "policy.collectives.allreduce: unknown key"),
        (
            r#""policy":{"collectives":{"all_reduce":7}}"#,
            "policy.collectives.all_reduce: expected an algorithm",
        ),
        (
            r#""policy":{"collectives":{"all_reduce":[]}}"#,
            "policy.collectives.all_reduce: expected an algorithm",
        ),
        (
            r#""policy":{"collectives":{"all_reduce":["ring",""]}}"#,
            "policy.collectives.all_reduce[1]: empty text",
        ),
        (
            r#""engine":{"kind":"external"}"#,
            "engine.kind: unknown engine `external`, expected one of `builtin`, `astra-sim`",
        ),
        (r#""engine":{"binary":""}"#, "engine.binary: empty text"),
        (
            r#""engine":{"binary":"sim"}"#,
            "engine.binary: an executable, and nothing says that it is to simulate",
        ),
        (r#""engine":{"timeout":"5 m"}"#, "engine.timeout: unknown unit `m` in `5 m`"),
        (r#""engine":{"timeout":0}"#, "engine.timeout: no time at all, expected at least 1 s"),
        (r#""engine":{"timeout":true}"#, "engine.timeout: expected a whole number of seconds"),
        (r#""engine":{"memory":"63 MiB"}"#, "engine.memory: 66060288 bytes, expected at least 64 MiB"),
        (r#""engine":{"network":"congestion-aware"}"#, "engine.network: unknown network model"),
        (
            r#""engine":{"queues_per_dimension":0}"#,
            "engine.queues_per_dimension: expected a whole number from 1 to 1024, found `0`",
        ),
        (
            r#""engine":{"queues_per_dimension":1025}"#,
            "engine.queues_per_dimension: expected a whole number from 1 to 1024, found `1025`",
        ),
        (
            r#""engine":{"dialect":"deep-flow"}"#,
            "engine.dialect: unknown dialect `deep-flow`, expected one of `astra-sim`, `deepflow` [did you mean `deepflow`?]",
        ),
        (
            r#""layout":{"axes":["pp"]}"#,
            "layout.axes[0]: unknown axis `pp`, expected one of `tp`, `cp`, `lp`, `dp`",
        ),
        (r#""layout":{"axes":["tp","tp"]}"#, "layout.axes[1]: the axis `tp` is there twice"),
        (r#""layout":{"axes":[]}"#, "layout.axes: an empty list"),
        (r#""salt":" ""#, "salt: empty text"),
        (r#""salt":"two\nlines""#, "salt: a salt is 1 to 100 characters in one line, and not only blanks"),
        (r#""salt":7"#, "salt: expected text, found `7`"),
        (r#""layout":{"flatten_2d":1}"#, "layout.flatten_2d: expected true or false, found `1`"),
        (
            r#""system":{"endpoint-delya":1}"#,
            "system.endpoint-delya: unknown key of the system file [did you mean `endpoint-delay`?]",
        ),
        (r#""system":[]"#, "system: expected an object, found a list"),
        (r#""$schema":1"#, "$schema: expected text"),
        (r#""description":[]"#, "description: expected text"),
    ] {
        let message = option(rest);
        assert!(message.starts_with(expected), "{rest}: {message}");
    }
}

#[test]
fn algorithms_that_both_sections_fix_are_refused_with_both_keys() {
    let both =
        r#""policy":{"collectives":{"all_reduce":"ring"}},"system":{"all-reduce-implementation":["direct"]}"#;
    assert_eq!(
        option(both),
        "system.all-reduce-implementation: `policy.collectives.all_reduce` and `system.all-reduce-implementation` both fix \
         the algorithms of all_reduce; keep one of them"
    );
    let different =
        r#""policy":{"collectives":{"all_gather":"ring"}},"system":{"all-reduce-implementation":["direct"]}"#;
    recipe(&format!("{WORKLOAD},{different}")).unwrap();
}

#[test]
fn existing_traces_are_named_by_relative_paths_and_keyed_in_two_ways() {
    let traces = |rest: &str| workload(&format!(r#"{{"kind":"et","ranks":8,{rest}}}"#));
    assert!(traces(r#""traces":"/t""#).contains("workload.traces: `/t` is an absolute path"));
    assert!(
        traces(r#""traces":"t","groups":"/g.json""#).contains("workload.groups: `/g.json` is an absolute")
    );
    let message = traces(r#""traces":"t","key":"canonic""#);
    assert!(
        message.contains("workload.key: unknown key `canonic`, expected one of `content`, `canonical`"),
        "{message}"
    );
}

#[test]
fn an_edit_changes_one_thing() {
    let edits = |edits: &str| {
        let kind = r#""kind":"collective","collective":"all_reduce","ranks":8,"size":1024"#;
        workload(&format!(r#"{{{kind},"edits":{edits}}}"#))
    };
    for (text, message) in [
        ("{}", "workload.edits: expected a list, found an object"),
        ("[{}]", "workload.edits[0]: expected exactly one of `scale_durations`, `scale_sizes`, `delay`"),
        (r#"[{"scale_sizes":1,"delay":1000}]"#, "workload.edits[0]: expected exactly one of"),
        (
            r#"[{"scale_durations":-1}]"#,
            "workload.edits[0].scale_durations: expected a factor from 0 to 1000000",
        ),
        (r#"[{"scale_durations":"2"}]"#, "scale_durations: expected a factor"),
        (r#"[{"scale_sizes":2,"ranks":[1]}]"#, "workload.edits[0].ranks: sizes are scaled on all ranks"),
        (r#"[{"delay":1500}]"#, "workload.edits[0].delay: `1500` is not a whole number of microseconds"),
        (r#"[{"scale_sizes":2,"before":"x"}]"#, "workload.edits[0].before: only a `delay`"),
        (r#"[{"scale_durations":2,"ranks":[]}]"#, "workload.edits[0].ranks: an empty list"),
        (r#"[{"scale_durations":2,"ranks":[0,-1]}]"#, "workload.edits[0].ranks[1]: expected a rank"),
        (r#"[{"scale_duration":2}]"#, "did you mean `scale_durations`?"),
    ] {
        assert!(edits(text).contains(message), "{text}: {}", edits(text));
    }
}
