//! Files that are no policy, or one of another version; and a policy asked by a host of another version.

use astra_store::ErrorKind;

use crate::plugins::{c, impatient, open, open_within, printed_by_c, rust};

fn refused(name: &str, bytes: &artifact_store::SharedBytes) -> String {
    let error = open(name, bytes, "").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Failed);
    let text = error.to_string();
    assert!(text.starts_with(&format!("{name}: the policy ")), "{text}");
    text
}

#[test]
fn a_text_file_and_nothing_at_all_cannot_be_loaded() {
    for bytes in [b"#!/bin/sh\necho hello\n".as_slice(), b"", &[0; 4096]] {
        let text = refused("notes.so", &bytes.into());
        assert!(text.contains("cannot be loaded: "), "{text}");
        assert!(!text.contains("/policy-"), "names the copy: {text}");
    }
}

#[test]
fn a_library_that_is_cut_off_cannot_be_loaded() {
    let Some(plugin) = c("tests/policy/mischief.c", &[]) else { return };
    refused("half.so", &plugin[..plugin.len() / 2].into());
}

#[test]
fn a_library_without_the_symbol_is_no_policy() {
    let Some(plugin) = c("tests/policy/mischief.c", &["-DNO_SYMBOL"]) else { return };
    let text = refused("tuner.so", &plugin);
    assert!(
        text.contains("exports no `astra_policy_v1`: not a policy, or one for another version"),
        "{text}"
    );
}

#[test]
fn a_table_that_is_too_short_is_refused_and_a_longer_one_is_read_as_far_as_it_is_known() {
    let Some(older) = c("tests/policy/mischief.c", &["-DTABLE_SIZE=64"]) else { return };
    let text = refused("older.so", &older);
    assert!(text.contains("its table has 64 bytes, expected 80: an older or unfinished interface"), "{text}");
    let nonsense = c("tests/policy/mischief.c", &["-DTABLE_SIZE=1234567890123"]).unwrap();
    let text = refused("nonsense.so", &nonsense);
    assert!(text.contains("1234567890123 bytes, expected 80: no size of a table"), "{text}");
    let newer = c("tests/policy/mischief.c", &["-DTABLE_SIZE=sizeof(astra_policy_plugin)+64"]).unwrap();
    assert_eq!(open("newer.so", &newer, "").unwrap().about().name, "mischief");
}

#[test]
fn a_table_without_decide_or_with_an_unfit_name_is_refused() {
    let Some(empty) = c("tests/policy/mischief.c", &["-DNO_DECIDE", "-Wno-unused-function"]) else { return };
    assert!(refused("empty.so", &empty).contains("exports no `decide`"));
    let shouting = c("tests/policy/mischief.c", &["-DNAME=\"MISCHIEF!\""]).unwrap();
    let text = refused("shouting.so", &shouting);
    assert!(text.contains("is called `MISCHIEF!`, expected lower-case letters, digits and dashes"), "{text}");
}

#[test]
fn a_policy_that_fails_while_it_is_opened_is_named() {
    let Some(plugin) = c("tests/policy/mischief.c", &[]) else { return };
    let text = |config| open("mischief.so", &plugin, config).unwrap_err().to_string();
    assert_eq!(text("refuse to open"), "mischief.so: no table is called `refuse to open`");
    let crash = "mischief.so: the policy crashed on a memory access (signal 11, SIGSEGV)";
    assert_eq!(text("crash in open"), crash);
    let silent = open_within(impatient(), "mischief.so", &plugin, "hang in open").unwrap_err();
    assert_eq!(silent.to_string(), "mischief.so: the policy did not answer within 3 s");
    assert_eq!(text("open with 9"), "mischief.so: the policy returned 9 from `open`, which means nothing");
}

#[test]
fn the_sdk_serves_a_newer_host_and_refuses_an_older_one() {
    let plugin = rust("examples/policies/by-size");
    let Some(printed) = printed_by_c("tests/policy/host.c", &["-ldl"], &plugin) else { return };
    let told: Vec<(&str, &str)> = printed.lines().filter_map(|line| line.split_once(": ")).collect();
    let expected = [
        ("newer", "0, 2 dimensions, 4 costs, 0 outside: "),
        // It has no column for `direct`.
        ("fewer algorithms", "0, 2 dimensions, 2 costs, 0 outside: "),
        (
            "older request",
            "-1, 0 dimensions, 0 costs, 0 outside: the host's request is 96 bytes, of version 1 are 104",
        ),
        (
            "older dimensions",
            "-1, 0 dimensions, 0 costs, 0 outside: the host's dimensions are 48 bytes apart",
        ),
        (
            "older answer",
            "-1, 0 dimensions, 0 costs, 0 outside: the host's answer is 72 bytes, of version 1 are 80",
        ),
        (
            "unheard of",
            "-1, 0 dimensions, 0 costs, 0 outside: was built before collective 9 existed; build it with a newer SDK",
        ),
    ];
    assert_eq!(told, expected);
}
