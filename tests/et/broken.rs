//! Sound bundles in which one thing is broken: the lint names the rule, the rank and the node.

use astra_engine::CollectiveType;
use astra_store::et::{Attribute, Node, NodeType, Value};
use astra_store::lint::{Finding, Rule, Severity};

use crate::bundle::{Chance, EVERYBODY, TestBundle, file, told};

/// A kind of damage, applied to some bundle by chance. Gives back where it is, unless the bundle has no place for it.
type Damage = fn(&mut TestBundle, &mut Chance) -> Option<(usize, u64)>;

const ROUNDS: u64 = 60;

/// Every damage is found where it is, in many bundles.
#[track_caller]
fn found(severity: Severity, rule: Rule, words: &str, damage: Damage) {
    let mut damaged = 0;
    for seed in 0..ROUNDS {
        let mut chance = Chance::new(seed);
        let mut bundle = TestBundle::sound(&mut chance);
        let Some((rank, node)) = damage(&mut bundle, &mut chance) else { continue };
        let findings = bundle.lint();
        let at = |f: &Finding| {
            let place = f.place.as_ref();
            place.is_some_and(|place| (place.rank.0 as usize, place.node) == (rank, node))
        };
        let named =
            |f: &Finding| f.severity == severity && f.rule == rule && f.message.contains(words) && at(f);
        assert!(findings.iter().any(named), "seed {seed}: rank {rank}, node {node}: {}", told(&findings));
        damaged += 1;
    }
    assert!(damaged >= 10, "only {damaged} bundles could be damaged");
}

#[track_caller]
fn is_error(rule: Rule, words: &str, damage: Damage) {
    found(Severity::Error, rule, words, damage);
}

/// Some node of a type.
fn some(bundle: &TestBundle, chance: &mut Chance, kind: NodeType) -> Option<(usize, usize)> {
    let places = bundle.places(|_, node| node.kind == kind as i32);
    (!places.is_empty()).then(|| chance.one_of(&places))
}

/// Changes some node of a type.
fn change(
    bundle: &mut TestBundle,
    chance: &mut Chance,
    kind: NodeType,
    change: impl FnOnce(&mut Node),
) -> Option<(usize, u64)> {
    let (rank, at) = some(bundle, chance, kind)?;
    let node = &mut bundle.ranks[rank][at];
    change(node);
    Some((rank, node.id))
}

fn set(node: &mut Node, name: &str, value: Value) {
    node.attributes.retain(|attribute| attribute.name != name);
    node.attributes.push(Attribute::new(name, value));
}

fn remove(node: &mut Node, name: &str) {
    node.attributes.retain(|attribute| attribute.name != name);
}

fn text(node: &Node, name: &str) -> Option<String> {
    let found = node.attributes.iter().find(|attribute| attribute.name == name)?;
    match found.value.as_ref()? {
        Value::String(text) => Some(text.clone()),
        other => Some(format!("{other:?}")),
    }
}

#[test]
fn attributes_that_are_missing_or_of_another_type() {
    for (kind, name) in [
        (NodeType::Send, "comm_size"),
        (NodeType::Send, "comm_dst"),
        (NodeType::Recv, "comm_src"),
        (NodeType::Recv, "comm_tag"),
        (NodeType::Collective, "comm_type"),
        (NodeType::Collective, "comm_size"),
    ] {
        for seed in 0..10 {
            let mut chance = Chance::new(seed);
            for value in [None, Some(Value::Float(1.0)), Some(Value::String("1".into()))] {
                let mut bundle = TestBundle::sound(&mut chance);
                let place = change(&mut bundle, &mut chance, kind, |node| match value {
                    None => remove(node, name),
                    Some(value) => set(node, name, value),
                });
                let Some((rank, node)) = place else { continue };
                let findings = bundle.lint();
                let [finding] = &findings[..] else { panic!("{name}: {}", told(&findings)) };
                let place = finding.place.as_ref().unwrap();
                assert_eq!((finding.rule, place.rank.0 as usize, place.node), (Rule::Attribute, rank, node));
                assert!(finding.message.starts_with(&format!("attribute `{name}` is ")), "{finding}");
            }
        }
    }
    is_error(Rule::Attribute, "`pg_name` is of kind int32", |bundle, chance| {
        change(bundle, chance, NodeType::Collective, |node| set(node, "pg_name", Value::Int32(1)))
    });
    is_error(Rule::Attribute, "`pg_name` is `tp`", |bundle, chance| {
        change(bundle, chance, NodeType::Collective, |node| set(node, "pg_name", Value::String("tp".into())))
    });
    is_error(Rule::Attribute, "`involved_dim` is of kind bool", |bundle, chance| {
        change(bundle, chance, NodeType::Collective, |node| set(node, "involved_dim", Value::Bool(true)))
    });
    is_error(Rule::Attribute, "but the trace is that of rank", |bundle, chance| {
        change(bundle, chance, NodeType::Send, |node| set(node, "comm_src", Value::Int32(77)))
    });
    is_error(Rule::Attribute, "but the trace is that of rank", |bundle, chance| {
        change(bundle, chance, NodeType::Recv, |node| set(node, "comm_dst", Value::Int32(77)))
    });
}

#[test]
fn attributes_that_others_read_differently() {
    let warned = |words, damage| found(Severity::Warning, Rule::Attribute, words, damage);
    warned("`comm_priority` is double", |bundle, chance| {
        change(bundle, chance, NodeType::Collective, |node| set(node, "comm_priority", Value::Double(1.0)))
    });
    warned("the last 32 bits, 5", |bundle, chance| {
        change(bundle, chance, NodeType::Send, |node| set(node, "comm_tag", Value::Int64((1 << 32) + 5)))
    });
    let noted = |words, damage| found(Severity::Note, Rule::Attribute, words, damage);
    noted("`is_cpu_op` is missing", |bundle, chance| {
        change(bundle, chance, NodeType::Compute, |node| remove(node, "is_cpu_op"))
    });
    noted("`comm_tag` is there twice", |bundle, chance| {
        change(bundle, chance, NodeType::Recv, |node| {
            node.attributes.push(Attribute::new("comm_tag", Value::Int32(4)))
        })
    });
    found(Severity::Warning, Rule::Group, "`pg_name` is `0`", |bundle, chance| {
        change(bundle, chance, NodeType::Collective, |node| set(node, "pg_name", Value::String("0".into())))
    });
}

#[test]
fn dependencies_that_make_no_graph() {
    is_error(Rule::Dependency, "depends on node 9999, which the trace does not have", |bundle, chance| {
        change(bundle, chance, NodeType::Send, |node| node.data_deps.push(9999))
    });
    is_error(Rule::Dependency, "wait for each other", |bundle, chance| {
        // The first node waits for a later one.
        let (rank, at) = some(bundle, chance, NodeType::Recv).filter(|(_, at)| *at > 0)?;
        bundle.ranks[rank][0].control_deps.push(at as u64);
        Some((rank, 0))
    });
    is_error(Rule::Dependency, "wait for each other", |bundle, chance| {
        change(bundle, chance, NodeType::Send, |node| node.data_deps.push(node.id))
    });
    found(Severity::Warning, Rule::DuplicateId, "is given to more than one node", |bundle, chance| {
        let rank = chance.below(bundle.ranks.len());
        bundle.ranks[rank].push(Node::compute(0, "again", 1));
        Some((rank, 0))
    });
}

#[test]
fn nodes_that_cannot_be_simulated_or_reported_on() {
    is_error(Rule::Node, "metadata nodes cannot be simulated", |bundle, chance| {
        change(bundle, chance, NodeType::Compute, |node| node.kind = NodeType::Metadata as i32)
    });
    is_error(Rule::Node, "its type is 9", |bundle, chance| {
        change(bundle, chance, NodeType::Compute, |node| node.kind = 9)
    });
    for kind in [NodeType::Send, NodeType::Recv, NodeType::Collective] {
        let mut chance = Chance::new(kind as u64);
        let mut bundle = TestBundle::sound(&mut chance);
        let place = change(&mut bundle, &mut chance, kind, |node| set(node, "is_cpu_op", Value::Bool(true)));
        let findings = bundle.lint();
        let named = |f: &Finding| {
            f.rule == Rule::Node && f.place.as_ref().map(|p| (p.rank.0 as usize, p.node)) == place
        };
        assert!(findings.iter().any(named), "{}", told(&findings));
    }
    is_error(Rule::Algorithm, "collective barrier is not simulated", |bundle, chance| {
        change(bundle, chance, NodeType::Collective, |node| set(node, "comm_type", Value::Int64(9)))
    });
    is_error(Rule::Node, "its duration exceeds 2^64 ns", |bundle, chance| {
        change(bundle, chance, NodeType::Compute, |node| node.duration_micros = u64::MAX / 8)
    });
    found(Severity::Warning, Rule::Report, "computation on the CPU", |bundle, chance| {
        change(bundle, chance, NodeType::Compute, |node| set(node, "is_cpu_op", Value::Bool(true)))
    });
    found(Severity::Warning, Rule::Report, "remote memory", |bundle, chance| {
        change(bundle, chance, NodeType::Compute, |node| {
            node.kind = NodeType::MemoryLoad as i32;
            set(node, "tensor_size", Value::Uint64(64));
        })
    });
    found(Severity::Warning, Rule::Report, "type invalid", |bundle, chance| {
        change(bundle, chance, NodeType::Compute, |node| node.kind = NodeType::Invalid as i32)
    });
    is_error(Rule::Immediate, "nothing else is ever started", |bundle, chance| {
        let rank = chance.below(bundle.ranks.len());
        let invalid = Node { kind: NodeType::Invalid as i32, ..Node::compute(0, "first", 0) };
        bundle.ranks[rank].insert(0, invalid);
        bundle.chain();
        Some((rank, 0)).filter(|_| bundle.ranks[rank].len() > 1)
    });
    found(Severity::Note, Rule::Duration, "takes 1 ns", |bundle, chance| {
        change(bundle, chance, NodeType::Compute, |node| node.duration_micros = 0)
    });
}

#[test]
fn groups_that_are_not_there() {
    is_error(Rule::Group, "communicator group 77 is not defined", |bundle, chance| {
        change(bundle, chance, NodeType::Collective, |node| set(node, "pg_name", Value::String("77".into())))
    });
    is_error(Rule::Group, "the rank is not a member of communicator group 3", |bundle, chance| {
        let foreign = bundle.places(|rank, node| {
            node.kind == NodeType::Collective as i32 && !bundle.groups[&3].contains(&(rank as u32))
        });
        let uses: Vec<_> =
            foreign.into_iter().filter(|&(rank, at)| first_use_of_3(bundle, rank, at)).collect();
        let (rank, at) = *uses.first()?;
        set(&mut bundle.ranks[rank][at], "pg_name", Value::String("3".into()));
        let _ = chance;
        Some((rank, at as u64))
    });
    is_error(Rule::Group, "its group has one member", |bundle, chance| {
        let rank = chance.below(bundle.ranks.len());
        bundle.groups.insert(50, vec![rank as u32]);
        let alone = Node::collective(0, "alone", CollectiveType::AllReduce, 64, Some(50));
        bundle.ranks[rank].push(alone);
        bundle.chain();
        Some((rank, bundle.ranks[rank].len() as u64 - 1))
    });
}

fn first_use_of_3(bundle: &TestBundle, rank: usize, at: usize) -> bool {
    bundle.ranks[rank][..at].iter().all(|node| text(node, "pg_name").as_deref() != Some("3"))
}

#[test]
fn messages_that_cannot_be_sent() {
    is_error(Rule::Size, "a message of 0 bytes", |bundle, chance| {
        let place = some(bundle, chance, NodeType::Send)?;
        set(&mut bundle.ranks[place.0][place.1], "comm_size", Value::Int64(0));
        Some((place.0, place.1 as u64))
    });
    is_error(Rule::Size, "an all-gather of 0 bytes", |bundle, chance| {
        change(bundle, chance, NodeType::Collective, |node| {
            set(node, "comm_type", Value::Int64(2));
            set(node, "comm_size", Value::Int64(0));
        })
    });
    is_error(Rule::Peer, "the network has no rank 99", |bundle, chance| {
        change(bundle, chance, NodeType::Send, |node| set(node, "comm_dst", Value::Int32(99)))
    });
    is_error(Rule::Peer, "tag 2147483648 is 2^31 or more", |bundle, chance| {
        change(bundle, chance, NodeType::Recv, |node| set(node, "comm_tag", Value::Uint32(1 << 31)))
    });
}

#[test]
fn messages_that_find_no_partner() {
    // Of equal messages the first is named.
    fn alone(bundle: &TestBundle, rank: usize, at: usize) -> bool {
        let key =
            |node: &Node| ["comm_src", "comm_dst", "comm_tag", "comm_size"].map(|name| text(node, name));
        let own = key(&bundle.ranks[rank][at]);
        bundle.ranks[rank].iter().filter(|node| key(node) == own).count() == 1
    }
    fn lonely(bundle: &TestBundle, chance: &mut Chance, kind: NodeType) -> Option<(usize, usize)> {
        some(bundle, chance, kind).filter(|&(rank, at)| alone(bundle, rank, at))
    }
    is_error(Rule::MessagesMatch, "with this tag it sends", |bundle, chance| {
        let (rank, at) = lonely(bundle, chance, NodeType::Recv)?;
        set(&mut bundle.ranks[rank][at], "comm_size", Value::Int64(77_777));
        Some((rank, at as u64))
    });
    is_error(Rule::MessagesMatch, "it sends this size with tag", |bundle, chance| {
        let (rank, at) = lonely(bundle, chance, NodeType::Recv)?;
        set(&mut bundle.ranks[rank][at], "comm_tag", Value::Int32(77));
        Some((rank, at as u64))
    });
    found(Severity::Warning, Rule::MessagesMatch, "which receives 0", |bundle, chance| {
        let (rank, at) = lonely(bundle, chance, NodeType::Send)?;
        set(&mut bundle.ranks[rank][at], "comm_tag", Value::Int32(77));
        Some((rank, at as u64))
    });
}

#[test]
fn collectives_that_members_do_not_share() {
    // A group of three or more has a majority; of two the first member is taken at its word.
    fn of_all(bundle: &TestBundle, chance: &mut Chance) -> Option<(usize, usize)> {
        let everybody = EVERYBODY.to_string();
        let places = bundle.places(|_, node| {
            let group = text(node, "pg_name");
            node.kind == NodeType::Collective as i32 && (group.is_none() || group == Some(everybody.clone()))
        });
        (!places.is_empty()).then(|| chance.one_of(&places))
    }
    is_error(Rule::CollectivesAgree, "of 77777 bytes", |bundle, chance| {
        let (rank, at) = of_all(bundle, chance)?;
        set(&mut bundle.ranks[rank][at], "comm_size", Value::Int64(77_777));
        Some((rank, at as u64))
    });
    is_error(Rule::CollectivesAgree, "takes part in 1 ", |bundle, chance| {
        let (rank, at) = of_all(bundle, chance)?;
        let mut extra = bundle.ranks[rank][at].clone();
        set(&mut extra, "comm_size", Value::Int64(88_888));
        bundle.ranks[rank].push(extra);
        bundle.chain();
        Some((rank, bundle.ranks[rank].len() as u64 - 1))
    });
    is_error(Rule::CollectivesOrder, "of its collectives over", |bundle, chance| {
        let (rank, at) = of_all(bundle, chance)?;
        let group = text(&bundle.ranks[rank][at], "pg_name");
        let kind = |node: &Node| ["comm_type", "comm_size"].map(|name| text(node, name));
        let nodes = &mut bundle.ranks[rank];
        let of_group =
            |node: &Node| node.kind == NodeType::Collective as i32 && text(node, "pg_name") == group;
        let next = (at + 1..nodes.len()).find(|&next| of_group(&nodes[next]))?;
        if kind(&nodes[at]) == kind(&nodes[next]) {
            return None;
        }
        nodes.swap(at, next);
        bundle.chain();
        Some((rank, at as u64))
    });
}

#[test]
fn chunks_that_ranks_number_differently() {
    is_error(Rule::CounterSkew, "chunk(s) of communicator groups, rank", |bundle, chance| {
        // A group starts something on two ranks before all ranks do; whoever is alike in most ranks is right.
        let extra = || Node::collective(0, "extra", CollectiveType::AllReduce, 64, Some(60));
        let last = || Node::collective(0, "last", CollectiveType::AllReduce, 4096, None);
        if bundle.ranks.len() == 4 {
            return None;
        }
        let member = chance.below(bundle.ranks.len() - 1);
        bundle.groups.insert(60, vec![member as u32, member as u32 + 1]);
        for rank in [member, member + 1] {
            bundle.ranks[rank].insert(0, extra());
        }
        bundle.ranks.iter_mut().for_each(|nodes| nodes.push(last()));
        bundle.chain();
        let first = bundle.ranks[member]
            .iter()
            .position(|node| node.kind == NodeType::Collective as i32 && text(node, "pg_name").is_none());
        // With other groups in unequal numbers the bundle is skewed anyhow.
        let first = first.filter(|&at| !bundle.ranks[member][at].name.starts_with("last"))?;
        Some((member, first as u64))
    });
}

#[test]
fn ranks_that_wait_for_each_other() {
    is_error(Rule::WaitCycle, "can never complete: ", |bundle, chance| {
        let ranks = bundle.ranks.len();
        let length = 2 + chance.below(ranks - 1);
        for rank in 0..length {
            let (from, to) = ((rank + length - 1) % length, (rank + 1) % length);
            bundle.ranks[rank].insert(0, Node::send(0, "on", to as i32, 64, 1000));
            bundle.ranks[rank].insert(0, Node::recv(0, "first", from as i32, 64, 1000));
        }
        bundle.chain();
        Some((0, 0))
    });
}

#[test]
fn files_that_are_none() {
    let mut chance = Chance::new(7);
    let bundle = TestBundle::sound(&mut chance);
    let files = bundle.files();
    for (damaged, words) in [
        (Vec::new(), "w.2.et: the file is empty"),
        (files[2][..files[2].len() - 1].to_vec(), "w.2.et: byte "),
        (b"no trace at all".to_vec(), "w.2.et: "),
        (file(&[]), "w.2.et: the trace has no node"),
    ] {
        let mut files = files.clone();
        files[2] = damaged.into();
        let findings = bundle.lint_files(&files);
        let [finding] = &findings[..] else { panic!("{}", told(&findings)) };
        assert_eq!((finding.severity, finding.rule), (Severity::Error, Rule::File));
        assert!(finding.message.starts_with(words), "{finding}");
    }
}

#[test]
fn what_is_broken_in_several_files_is_told_at_once() {
    let mut bundle = TestBundle::sound(&mut Chance::new(3));
    for rank in 0..3 {
        bundle.ranks[rank][0].kind = NodeType::Send as i32;
        bundle.ranks[rank][0].attributes.clear();
    }
    let findings = bundle.lint();
    let ranks: Vec<u32> = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| finding.place.as_ref().unwrap().rank.0 + finding.repeats as u32)
        .collect();
    assert_eq!(ranks, [2], "{}", told(&findings));
}
