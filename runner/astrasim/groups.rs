//! Reads and writes communicator group files: an object from group number to the ranks of the group.

use std::collections::BTreeMap;

use astra_engine::{GroupId, Rank};
use serde_json::Value as Json;

use crate::{Error, Result};

/// The groups of a file; the order of members is kept, because it is the order of the ring.
///
/// # Errors
///
/// Text that is no JSON object from positive group numbers, each once, to lists of ranks. Whether the ranks exist is judged with
/// the workload.
pub fn read_groups(bytes: &[u8], file: &str) -> Result<BTreeMap<GroupId, Vec<Rank>>> {
    let groups = super::json_object(bytes, file, r#"from group number to ranks such as {"1": [0, 1]}"#)?;
    let group = |(name, members): (&String, &Json)| {
        let id = name.parse().ok().and_then(GroupId::new).ok_or_else(|| {
            let message = "expected a group number from 1 to 2147; all ranks are the group of no number";
            Error::input(message)
        })?;
        let ranks = members.as_array().and_then(|ranks| ranks.iter().map(rank).collect::<Option<Vec<_>>>());
        let ranks =
            ranks.ok_or_else(|| Error::input(format!("expected a list of ranks, found {members}")))?;
        Ok((id, ranks))
    };
    let mut found = BTreeMap::new();
    for entry in &groups {
        let wrong = |error: Error| error.key(entry.0).in_file(file);
        let (id, ranks) = group(entry).map_err(wrong)?;
        if found.insert(id, ranks).is_some() {
            return Err(wrong(Error::input(format!("group {} is there twice", id.get()))));
        }
    }
    Ok(found)
}

fn rank(json: &Json) -> Option<Rank> {
    json.as_u64().and_then(|rank| u32::try_from(rank).ok()).map(Rank)
}

/// Groups as bare numbers, as they are written.
pub fn group_numbers(groups: &BTreeMap<GroupId, Vec<Rank>>) -> BTreeMap<u32, Vec<u32>> {
    groups.iter().map(|(group, members)| (group.get(), members.iter().map(|rank| rank.0).collect())).collect()
}

/// The text of a file with these groups, as DeepFlow writes it; `None` without groups, when there is to be no file.
pub fn write_groups(groups: &BTreeMap<u32, Vec<u32>>) -> Option<Vec<u8>> {
    let text = || serde_json::to_vec_pretty(groups).expect("numbers and lists of numbers are valid JSON");
    (!groups.is_empty()).then(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_no_groups_are_no_file() {
        let groups = BTreeMap::from([(1000, vec![4, 0]), (2, vec![1])]);
        let text = write_groups(&groups).unwrap();
        assert_eq!(text, b"{\n  \"2\": [\n    1\n  ],\n  \"1000\": [\n    4,\n    0\n  ]\n}");
        let read = read_groups(&text, "g.json").unwrap();
        assert_eq!(read[&GroupId::new(1000).unwrap()], [Rank(4), Rank(0)]);
        assert_eq!(write_groups(&BTreeMap::new()), None);
    }

    #[test]
    fn members_keep_their_order() {
        let groups = read_groups(br#"{"10": [3, 1], "2": [0]}"#, "g.json").unwrap();
        let numbers: Vec<u32> = groups.keys().map(|id| id.get()).collect();
        assert_eq!(numbers, [2, 10]);
        assert_eq!(groups[&GroupId::new(10).unwrap()], [Rank(3), Rank(1)]);
        assert_eq!(group_numbers(&groups), BTreeMap::from([(2, vec![0]), (10, vec![3, 1])]));
    }

    #[test]
    fn a_group_that_cannot_be_is_refused_with_its_name() {
        for text in
            [r#"{"0": [1]}"#, r#"{"-1": [1]}"#, r#"{"tp": [1]}"#, r#"{"1": 3}"#, r#"{"1": [1.5]}"#, "[]", "{"]
        {
            assert!(read_groups(text.as_bytes(), "g.json").is_err(), "{text}");
        }
        let error = read_groups(br#"{"tp": [1]}"#, "g.json").unwrap_err().to_string();
        assert!(error.starts_with("g.json: tp: "), "{error}");
    }

    #[test]
    fn a_group_that_is_there_twice_is_refused() {
        let refused = |text: &str| read_groups(text.as_bytes(), "g.json").unwrap_err().to_string();
        assert_eq!(refused(r#"{"1": [0, 9], "1": [0, 1]}"#), "g.json:1:17: the key `1` is there twice");
        assert_eq!(refused(r#"{"01": [0, 9], "1": [0, 1]}"#), "g.json: 1: group 1 is there twice");
    }

    #[test]
    fn a_cut_empty_or_foreign_file_says_what_was_expected_and_what_to_do() {
        for (text, says, hint) in [
            (
                r#"{"1": [0, "#,
                "g.json:1:10: expected a JSON object, from group number to ranks such as {",
                true,
            ),
            (" ", "g.json: expected a JSON object, from group number", true),
            ("network:", "g.json:1:2: expected a JSON object, from group number", false),
            ("[]", "g.json:1:0: invalid type: sequence, expected a JSON object, from group number", false),
        ] {
            let error = read_groups(text.as_bytes(), "g.json").unwrap_err();
            assert!(error.to_string().starts_with(says), "{error}");
            assert_eq!(error.hint_text().is_some_and(|hint| hint.starts_with("make the file again")), hint);
        }
    }
}
