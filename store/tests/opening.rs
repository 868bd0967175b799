//! Opening what is no store, is newer, damaged, or not ours: a clear error each, and nothing touched.

use crate::harness::{Place, plain_step};
use artifact_store::{Error, ErrorKind, Options, Store};
use std::fs;
use std::path::Path;
use std::time::Duration;

fn refusal(directory: &Path) -> Error {
    let error = Store::open(directory, &Options::default()).expect_err("it was opened");
    assert!(error.hint_text().is_some(), "no hint: {error}");
    assert!(error.path().is_some_and(|path| path.starts_with(directory)), "no path: {error}");
    error
}

#[test]
fn a_directory_is_made_with_its_parents_and_opened_again() {
    let place = Place::new();
    let deep = place.beside("x").join("a/b/c");
    drop(Store::open(&deep, &Options::default()).unwrap());
    drop(Store::open(&deep, &Options::default()).unwrap());
    let format = fs::read_to_string(deep.join("FORMAT")).unwrap();
    assert!(format.starts_with("format 3\nredb multi-writer\ncreated by artifact-store "), "{format}");
}

#[test]
fn a_store_that_another_process_makes_is_opened_while_that_process_uses_it() {
    let place = Place::new();
    fs::create_dir_all(place.path().join("locks")).unwrap();
    // As who makes the store and goes on to use it: the lock is never free from here on.
    let lock = fs::File::create(place.path().join("locks/store.lock")).unwrap();
    lock.lock_shared().unwrap();
    let opening = std::thread::spawn({
        let (path, options) = (place.path(), place.options());
        move || Store::open(path, &options).map(drop)
    });
    std::thread::sleep(Duration::from_millis(20));
    let made = Place::new();
    drop(made.open());
    for file in ["store.redb", "FORMAT"] {
        fs::copy(made.path().join(file), place.path().join(file)).unwrap();
    }
    opening.join().unwrap().unwrap();
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let place = Place::new();
    drop(place.open());
    fs::write(place.path().join("FORMAT"), "format 4\nsomething new\n").unwrap();
    let file = fs::read(place.path().join("store.redb")).unwrap();
    let error = refusal(&place.path());
    assert_eq!(error.kind(), ErrorKind::NewerFormat);
    assert!(error.to_string().contains("format 4"), "{error}");
    assert_eq!(fs::read(place.path().join("store.redb")).unwrap(), file);
}

#[test]
fn a_format_file_that_makes_no_sense_is_refused() {
    let place = Place::new();
    drop(place.open());
    for text in ["", "hello\n", "format x\n", "format 0\n"] {
        fs::write(place.path().join("FORMAT"), text).unwrap();
        assert_eq!(refusal(&place.path()).kind(), ErrorKind::Corrupt, "{text:?}");
    }
    fs::write(place.path().join("FORMAT"), [0xff, 0xfe]).unwrap();
    assert_eq!(refusal(&place.path()).kind(), ErrorKind::Corrupt);
}

#[test]
fn a_directory_with_other_files_is_not_made_a_store() {
    let place = Place::new();
    let home = place.beside("home");
    fs::write(home.join("thesis.tex"), "precious").unwrap();
    let error = refusal(&home);
    assert_eq!(error.kind(), ErrorKind::NotAStore);
    assert!(error.to_string().contains("thesis.tex"), "{error}");
    assert_eq!(fs::read_dir(&home).unwrap().count(), 1, "something was left there");
}

#[test]
fn a_file_is_not_a_store() {
    let place = Place::new();
    let file = place.beside("x").join("file");
    fs::write(&file, "text").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = Store::open(&path, &Options::default()).expect_err("it was opened");
        assert_eq!(error.kind(), ErrorKind::NotAStore, "{error}");
    }
}

#[test]
fn an_interrupted_creation_is_completed() {
    let place = Place::new();
    drop(place.open());
    fs::remove_file(place.path().join("FORMAT")).unwrap();
    fs::write(place.path().join("FORMAT.new"), "form").unwrap();
    place.open().publish(plain_step("step", b"output")).wait().unwrap();
    fs::remove_file(place.path().join("FORMAT")).unwrap();
    assert_eq!(place.open().stats().unwrap().actions, 1);
}

#[test]
fn a_damaged_or_foreign_file_is_refused_with_its_name() {
    let place = Place::new();
    let store = place.open();
    for i in 0..200 {
        store.publish(plain_step(&format!("step {i}"), &crate::harness::noise(2000, i)));
    }
    drop(store);
    let file = place.path().join("store.redb");
    let good = fs::read(&file).unwrap();
    let mut no_magic = good.clone();
    no_magic[..64].fill(0x55);
    let damaged: [(&str, &[u8]); 5] = [
        ("foreign", b"SQLite format 3\0, or so it seems"),
        ("empty", b""),
        ("only a beginning", &good[..1000]),
        ("half", &good[..good.len() / 2]),
        ("another beginning", &no_magic),
    ];
    for (what, bytes) in damaged {
        fs::write(&file, bytes).unwrap();
        let error = Store::open(place.path(), &Options::default()).map(|_| what).expect_err("it was opened");
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
        assert!(error.to_string().contains("store.redb"), "{what}: {error}");
    }
    fs::remove_file(&file).unwrap();
    let error = refusal(&place.path());
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    fs::write(&file, good).unwrap();
    assert_eq!(place.open().stats().unwrap().actions, 200);
}

/// Opening is a matter of permission here, and says so.
pub(crate) fn must_be_refused(directory: &Path) {
    assert_eq!(refusal(directory).kind(), ErrorKind::Permission);
}

#[cfg(unix)]
#[test]
fn a_directory_that_may_not_be_written_is_a_matter_of_permission() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let closed = place.beside("closed");
    drop(place.open());
    allow(&place.path().join("store.redb"), 0o444);
    allow(&closed, 0o555);
    let cases = [closed.clone(), closed.join("store"), place.path()];
    if fs::write(closed.join("probe"), "x").is_err() {
        return cases.iter().for_each(|directory| must_be_refused(directory));
    }
    // This user may write everywhere, but may become one who may not.
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65_534;
    fs::remove_file(closed.join("probe")).unwrap();
    allow(closed.parent().unwrap(), 0o755);
    for directory in cases {
        let mut second = crate::processes::second("be refused", &directory, &closed);
        match second.uid(NOBODY).gid(NOBODY).status() {
            Ok(status) => assert!(status.success(), "{} was not refused", directory.display()),
            Err(e) => eprintln!("SKIPPED: cannot become a user who may not write: {e}"),
        }
    }
}
