//! What a plugin can do instead of answering: each is an error that says so, and the next question is answered by a new
//! process.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use astra_policy::Request;
use astra_store::policy::{Limits, sample_questions};
use astra_store::{Error, ErrorKind};

use crate::plugins::{PROGRAM, c, impatient, limits, open, open_within, rust};

/// A question about two dimensions.
fn request() -> Request {
    sample_questions().into_iter().find(|request| request.dimensions.len() == 2).unwrap()
}

/// The error of the plugin that does what `mischief` says; nothing without a C compiler.
fn error(mischief: &str) -> Option<Error> {
    error_within(limits(), mischief)
}

fn error_within(limits: Limits, mischief: &str) -> Option<Error> {
    let plugin = c("tests/policy/mischief.c", &[])?;
    let mut session = open_within(limits, "mischief.so", &plugin, mischief).unwrap();
    let error = session.ask(&[request()]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Failed, "{error}");
    let question = "mischief.so: all_reduce of 1 bytes on 64 ranks (FullyConnected of 2, Switch of 32): ";
    assert!(error.to_string().starts_with(question), "{error}");
    Some(error)
}

fn fails(mischief: &str, expected: &str) {
    if let Some(error) = error(mischief) {
        assert_eq!(error.message(), expected, "{mischief}");
    }
}

#[test]
fn a_process_that_ends_is_told_with_the_signal_or_code() {
    fails("crash", "the policy crashed on a memory access (signal 11, SIGSEGV)");
    fails("abort", "the policy aborted (signal 6, SIGABRT); it last printed `table is not sorted`");
    fails("exit", "the policy ended its process with exit code 3");
}

#[test]
fn a_panic_is_caught_and_told_in_its_words() {
    let panics = rust("tests/policy/panics");
    let panic = |config: &str| {
        let asked = open("panics.so", &panics, config).and_then(|mut session| session.ask(&[request()]));
        asked.unwrap_err().message().to_owned()
    };
    assert!(panic("no such row").starts_with("panicked: no such row"), "{}", panic("no such row"));
    assert!(panic("open").starts_with("panicked: assertion `left != right` failed: asked to panic"));
    assert!(panic("drop").starts_with("panicked: drop"));
}

#[test]
fn a_hanging_or_stopped_policy_is_ended_when_patience_is() {
    for mischief in ["hang", "stop", "flood for ever"] {
        let Some(error) = error_within(impatient(), mischief) else { return };
        assert!(error.message().starts_with("the policy did not answer within 3 s"), "{error}");
    }
}

#[test]
fn limits_on_memory_and_processor_time_hold() {
    fails("devour memory", "the policy aborted (signal 6, SIGABRT)");
    let Some(error) = error_within(Limits { cpu_s: 1, ..limits() }, "burn") else { return };
    assert_eq!(error.message(), "the policy used up its processor time (signal 24, SIGXCPU)");
}

#[test]
fn a_policy_cannot_write_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fails(
        &format!("write {}", file.display()),
        "the policy wrote a file, which a policy may not (signal 25, SIGXFSZ)",
    );
    assert!(!file.exists() || std::fs::read(&file).unwrap().is_empty());
}

#[test]
fn processes_that_a_policy_starts_are_noticed_and_those_of_its_group_ended() {
    fails("come back twice", "the policy started another process");
    for mischief in ["fork", "daemon"] {
        let Some(error) = error(mischief) else { return };
        let message = error.message();
        assert!(message.starts_with("the policy started another process"), "{mischief}: {message}");
        let child = message.split("`child ").nth(1).and_then(|rest| rest.split('`').next());
        let child = child.unwrap_or_else(|| panic!("{mischief}: {message}"));
        if mischief == "fork" {
            assert!(ends(child), "process {child} is still there");
        } else {
            // It left the group: this is what escapes, and what the documentation names.
            let kill = Command::new("kill").args(["-9", child]).status();
            assert!(kill.unwrap().success());
        }
    }
}

#[test]
fn a_helper_does_not_outlive_the_program_that_asks() {
    let Some(plugin) = c("tests/policy/mischief.c", &[]) else { return };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mischief.so");
    std::fs::write(&file, &plugin[..]).unwrap();
    let mut check = Command::new(PROGRAM);
    check.args(["plugin", "check", "--patience", "3600", "--config", "hang"]).arg(&file);
    let mut check = check.spawn().unwrap();
    let helper = child_of(check.id());
    check.kill().unwrap();
    check.wait().unwrap();
    assert!(ends(&helper), "process {helper} is still there");
}

/// The number of a process whose parent this is, as soon as there is one.
fn child_of(parent: u32) -> String {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        let numbers =
            std::fs::read_dir("/proc").unwrap().filter_map(|e| e.unwrap().file_name().into_string().ok());
        let child = numbers.filter(|name| name.parse::<u32>().is_ok()).find(|number| {
            let stat = std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
            let after_name = stat.rsplit(')').next().unwrap_or_default();
            after_name.split_whitespace().nth(1) == Some(&parent.to_string())
        });
        match child {
            Some(child) => return child,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    panic!("process {parent} has no child");
}

/// Whether a process is soon gone, or a zombie that nobody has collected.
fn ends(pid: &str) -> bool {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match std::fs::read_to_string(Path::new("/proc").join(pid).join("stat")) {
            Err(_) => return true,
            Ok(stat) if stat.contains(") Z") => return true,
            Ok(_) if Instant::now() > deadline => return false,
            Ok(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

#[test]
fn what_a_policy_prints_never_reaches_the_pipe() {
    let Some(plugin) = c("tests/policy/mischief.c", &[]) else { return };
    assert_eq!(open("mischief.so", &plugin, "flood").unwrap().ask(&[request()]).unwrap().len(), 1);
}

#[test]
fn a_policy_that_writes_to_every_descriptor_sends_garbage() {
    let Some(error) = error("scribble") else { return };
    let garbage = "the policy's process sent garbage instead of an answer: ";
    assert!(error.message().starts_with(garbage), "{error}");
}

#[test]
fn writing_outside_what_was_given_is_noticed() {
    let table = "2 × 11 costs, rows 16 cells apart";
    fails("row too many", &format!("the policy wrote outside its {table}: behind the last row"));
    fails("row too early", &format!("the policy wrote outside its {table}: before the first row"));
    let padding = format!("the policy wrote outside its {table}: at column 11 of dimension 0");
    fails("dense rows", &padding);
    fails("algorithm too many", "the policy wrote outside its algorithms, behind the last of 2");
    fails("own table", "the policy moved a table of the answer instead of writing to it");
    fails("long reason", "the policy says that its reason has 1025 bytes of 1024");
    fails("reason beyond", "the policy wrote beyond the 1024 bytes of its reason");
    fails("own reason", "the policy moved the buffer of its reason instead of writing to it");
}

#[test]
fn an_answer_that_cannot_be_acted_on_is_refused() {
    let place = "dimension 0 (FullyConnected of 2)";
    let cost = format!("the policy gave a cost for ring on {place} that is");
    fails("nan", &format!("{cost} NaN"));
    fails("infinite", &format!("{cost} infinite"));
    fails("negative", &format!("{cost} -0.5, less than nothing"));
    fails("predict nan", "the policy predicts a time that is NaN");
    fails("too few", "the policy answered 1 dimensions of 2");
    fails("too many", "the policy answered 3 dimensions of 2");
    fails("nothing", "the policy answered 0 dimensions of 2");
    fails("no choice", &format!("the policy gave neither an algorithm nor a cost for {place}"));
    fails("unheard of", &format!("the policy chose algorithm 1000 for {place}, which there is not"));
    fails(
        "impossible",
        "the policy chose mesh2d for dimension 1 (Switch of 32), which exists in dialect deepflow, not in astra-sim",
    );
    fails("return 7", "the policy returned 7 from `decide`, which means nothing");
}

#[test]
fn an_error_of_the_policy_is_told_in_its_words() {
    fails("refuse", "no row for this size");
    fails("refuse silently", "gave error -3 without a text");
}

#[test]
fn a_policy_sees_no_environment() {
    let Some(plugin) = c("tests/policy/mischief.c", &[]) else { return };
    assert_eq!(open("mischief.so", &plugin, "environment").unwrap().ask(&[request()]).unwrap().len(), 1);
}

#[test]
fn the_question_that_failed_is_named_and_the_next_one_gets_a_new_process() {
    let Some(plugin) = c("tests/policy/mischief.c", &[]) else { return };
    let mut session = open("mischief.so", &plugin, "crash on the third").unwrap();
    let sized = |payload_bytes| Request { payload_bytes, ..request() };
    let error = session.ask(&[1, 2, 3, 4].map(sized)).unwrap_err();
    assert!(error.to_string().contains("all_reduce of 3 bytes"), "{error}");
    assert_eq!(session.ask(&[5, 6].map(sized)).unwrap().len(), 2);
}
