//! A stall as JSON: what each unfinished rank waits for, and the cause.

use astra_engine::{Awaited, Blocked, CollectivePlace, Diagnosis, Stall, Unmatched, UnmatchedState, Wait};
use serde_json::{Value, json};

/// The stall with every blocked rank. Times are in nanoseconds, sizes in bytes.
pub fn stall_json(stall: &Stall) -> Value {
    json!({
        "at_ns": stall.at.0,
        "ranks": stall.ranks,
        "diagnosis": diagnosis(&stall.diagnosis),
        "blocked": stall.blocked.iter().map(blocked).collect::<Vec<_>>(),
    })
}

/// The kind of cause, the ranks it is about, and the line that is printed.
fn diagnosis(diagnosis: &Diagnosis) -> Value {
    let (kind, ranks) = match diagnosis {
        Diagnosis::SizeMismatch { rank, awaited, .. } => ("size_mismatch", vec![*rank, awaited.from]),
        Diagnosis::TagMismatch { rank, awaited, .. } => ("tag_mismatch", vec![*rank, awaited.from]),
        Diagnosis::CollectivesDiffer { ranks: [one, other], reordered } => {
            let kind = if *reordered { "order_differs" } else { "collectives_differ" };
            (kind, vec![one.0, other.0])
        }
        Diagnosis::RankMissing { rank, waiting, .. } => ("rank_missing", vec![*rank, *waiting]),
        Diagnosis::ChunkNumbers { ranks: [one, other], .. } => ("chunk_numbers_differ", vec![one.0, other.0]),
        Diagnosis::NoTrigger { rank, .. } => ("no_trigger", vec![*rank]),
        Diagnosis::NoPartner { rank, partner, .. } => ("rank_missing", vec![*partner, *rank]),
        Diagnosis::Cycle(ranks) => ("cycle", ranks.clone()),
        Diagnosis::QueueOrder { rank, .. } => ("queue_order", vec![*rank]),
        Diagnosis::Unknown => ("unknown", Vec::new()),
    };
    let ranks: Vec<u32> = ranks.into_iter().map(|rank| rank.0).collect();
    json!({ "kind": kind, "ranks": ranks, "message": diagnosis.to_string() })
}

fn blocked(blocked: &Blocked) -> Value {
    json!({
        "rank": blocked.rank.0,
        "node": blocked.node,
        "name": blocked.name,
        "waits_for": wait(&blocked.waits_for),
        "nearest": blocked.nearest.as_ref().map(unmatched),
    })
}

fn wait(wait: &Wait) -> Value {
    match wait {
        Wait::Message(message) => json!({ "kind": "message", "message": awaited(message) }),
        Wait::Delivery { to, size, tag } => {
            json!({ "kind": "delivery", "to": to.0, "size_bytes": size.0, "tag": tag })
        }
        Wait::Collective {
            place: CollectivePlace { collective, size, group, position },
            member,
            chunks_left,
            message,
        } => {
            json!({
                "kind": "collective",
                "collective": collective.as_str(),
                "size_bytes": size.0,
                "group": group.map(|group| group.get()),
                "position": position,
                "member": member,
                "chunks_left": chunks_left,
                "message": message.as_ref().map(awaited),
            })
        }
        Wait::Trigger => json!({ "kind": "trigger" }),
        Wait::Dependency => json!({ "kind": "dependency" }),
    }
}

fn awaited(message: &Awaited) -> Value {
    json!({ "from": message.from.0, "size_bytes": message.size.0, "tag": message.tag })
}

fn unmatched(message: &Unmatched) -> Value {
    let Unmatched { rank, size, tag, state } = message;
    let node = match state {
        UnmatchedState::Arrived => None,
        UnmatchedState::NotStarted { node } => Some(node),
    };
    json!({ "rank": rank.0, "size_bytes": size.0, "tag": tag, "arrived": node.is_none(), "node": node })
}
