//! Communicator groups: which ranks a collective inside a replica involves, how it is labelled, and the numbers.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use astra_engine::GroupId;

use super::model::{AxisId, Graph, NodeIndex, Work};
use super::roles::{Role, Roles, is_inside_replica};
use crate::{Error, Notice, Result};

/// The least number of a group inside a replica.
const FIRST_INSIDE: u32 = 1000;

/// What does not belong to any label or cohort.
const NONE: u32 = u32::MAX;

/// The labels and groups of the collectives inside replicas.
#[derive(Debug)]
pub(super) struct Groups {
    labels: Vec<String>,
    label_of: Vec<u32>,
    cohort_of: Vec<u32>,
    /// The group of each cohort and replica.
    numbers: Vec<u32>,
    replicas: u32,
    /// All groups with their ranks, replicas of a stage included.
    pub(super) members: BTreeMap<u32, Vec<u32>>,
}

impl Groups {
    /// The label of a collective inside a replica, and the number of its group; `None` for other nodes.
    pub(super) fn of(&self, node: NodeIndex, replica: u32) -> Option<(&str, u32)> {
        let label = self.labels.get(self.label_of[node.at()] as usize)?;
        let at = self.cohort_of[node.at()] as usize * self.replicas as usize + replica as usize;
        Some((label, self.numbers[at]))
    }
}

/// Sets of stages that communicate with each other, each set once.
#[derive(Default)]
struct Cohorts {
    known: BTreeMap<Vec<u32>, u32>,
    /// For each axis the cohort of every stage.
    of_axis: BTreeMap<AxisId, Vec<u32>>,
}

impl Cohorts {
    fn of(&mut self, graph: &Graph, roles: &Roles, axis: AxisId, stage: u32) -> u32 {
        let known = &mut self.known;
        let on_axis = self.of_axis.entry(axis).or_insert_with(|| on_axis(graph, roles, axis, known));
        on_axis[stage as usize]
    }

    fn in_order(self) -> Vec<Vec<u32>> {
        let mut cohorts = vec![Vec::new(); self.known.len()];
        for (members, cohort) in self.known {
            cohorts[cohort as usize] = members;
        }
        cohorts
    }
}

/// The cohort of every stage on an axis: the stages that differ from it on this axis only.
fn on_axis(graph: &Graph, roles: &Roles, axis: AxisId, known: &mut BTreeMap<Vec<u32>, u32>) -> Vec<u32> {
    let name = graph.axis_name(axis);
    let rest = |hw: u32| graph.layout().and_then(|layout| layout.without_axis(hw, name));
    let mut together: BTreeMap<(Option<u32>, u32), Vec<u32>> = BTreeMap::new();
    for (stage, &hw) in (0..).zip(&roles.stages) {
        // Without such an axis every stage is on its own.
        let key = rest(hw).map_or((None, stage), |rest| (Some(rest), 0));
        together.entry(key).or_default().push(stage);
    }
    let mut cohort_of = vec![0; roles.stages.len()];
    for members in together.into_values() {
        let next = known.len() as u32;
        let cohort = *known.entry(members.clone()).or_insert(next);
        members.iter().for_each(|stage| cohort_of[*stage as usize] = cohort);
    }
    cohort_of
}

/// Labels all collectives inside replicas, and numbers their groups.
///
/// # Errors
/// There are more groups than numbers.
pub(super) fn form(graph: &Graph, roles: &Roles) -> Result<Groups> {
    let mut cohorts = Cohorts::default();
    let mut collectives = Vec::new();
    for &node in roles.reached.iter().filter(|node| is_inside_replica(graph, **node)) {
        if let (Role::Collective { hw, absence: None }, Work::Communication { axis: Some(axis), .. }) =
            (roles.of(node), graph.work(node))
            && let Some(stage) = roles.stage(hw)
        {
            collectives.push((node, axis, cohorts.of(graph, roles, axis, stage)));
        }
    }
    let cohorts = cohorts.in_order();
    let mut groups = Groups {
        labels: Vec::new(),
        label_of: vec![NONE; graph.node_count()],
        cohort_of: vec![NONE; graph.node_count()],
        numbers: vec![0; cohorts.len() * graph.replicas() as usize],
        replicas: graph.replicas(),
        members: BTreeMap::new(),
    };
    let uses = label(graph, &mut groups, &collectives);
    number(graph, roles, &mut groups, &cohorts, uses)?;
    Ok(groups)
}

/// A label, and an axis and a cohort on which it is used.
type Use = (u32, AxisId, u32);

/// Gives every collective a label: its name for the first cohort that uses the name, by operation number, and the name
/// with a counter for others. Where each label is used, each use once.
fn label(graph: &Graph, groups: &mut Groups, collectives: &[(NodeIndex, AxisId, u32)]) -> Vec<Use> {
    // Names are many and sorting them is slow; the order of names does not matter here.
    let mut names: HashMap<&str, usize> = HashMap::new();
    let mut by_name: Vec<Vec<(NodeIndex, AxisId, u32)>> = Vec::new();
    for &collective in collectives {
        let at = *names.entry(graph.name(collective.0)).or_insert(by_name.len());
        if at == by_name.len() {
            by_name.push(Vec::new());
        }
        by_name[at].push(collective);
    }
    let mut uses = BTreeSet::new();
    for mut named in by_name {
        named.sort_by_key(|(node, ..)| graph.op(*node));
        let mut label_of_cohort = BTreeMap::new();
        for (node, axis, cohort) in named {
            let used = label_of_cohort.len();
            let label = *label_of_cohort.entry(cohort).or_insert_with(|| {
                let name = graph.name(node);
                groups.labels.push(if used == 0 { name.to_owned() } else { format!("{name}_{used}") });
                groups.labels.len() as u32 - 1
            });
            groups.label_of[node.at()] = label;
            groups.cohort_of[node.at()] = cohort;
            uses.insert((label, axis, cohort));
        }
    }
    uses.into_iter().collect()
}

/// Numbers the groups: by label, axis, replica and members. The replicas of a stage come first, from 1.
fn number(
    graph: &Graph,
    roles: &Roles,
    groups: &mut Groups,
    cohorts: &[Vec<u32>],
    mut uses: Vec<Use>,
) -> Result<()> {
    let (stages, replicas) = (roles.stages.len() as u32, groups.replicas);
    if replicas > 1 {
        for stage in 0..stages {
            let ranks = (0..replicas).map(|replica| replica * stages + stage).collect();
            groups.members.insert(stage + 1, ranks);
        }
    }
    let labels = &groups.labels;
    let text = |(label, axis, cohort): &Use| {
        (&labels[*label as usize], graph.axis_name(*axis), &cohorts[*cohort as usize])
    };
    uses.sort_by(|a, b| text(a).cmp(&text(b)));
    uses.dedup_by(|a, b| text(a) == text(b));
    // DeepFlow begins at 1000 also when the replicas of its stages have taken that number.
    let mut next = FIRST_INSIDE.max(if replicas > 1 { stages + 1 } else { 0 });
    for same in uses.chunk_by(|a, b| text(a).0 == text(b).0 && text(a).1 == text(b).1) {
        for replica in 0..replicas {
            for &(_, _, cohort) in same {
                let slot = &mut groups.numbers[cohort as usize * replicas as usize + replica as usize];
                if *slot == 0 {
                    *slot = next;
                    let ranks =
                        cohorts[cohort as usize].iter().map(|stage| replica * stages + stage).collect();
                    groups.members.insert(next, ranks);
                    next = next
                        .checked_add(1)
                        .ok_or_else(|| Error::input("more than 2^32 communicator groups").key("replicas"))?;
                }
            }
        }
    }
    Ok(())
}

/// What is odd about groups: more of them than can be simulated, a hardware id outside the layout, and collectives that
/// say they have another number of participants than their group has ranks, one notice for each axis.
///
/// A collective over several axes, of which a graph can name only one, shows by the latter.
pub(super) fn notices(graph: &Graph, roles: &Roles, groups: &Groups) -> Vec<Notice> {
    let mut odd: BTreeMap<AxisId, (usize, NodeIndex, u32, usize)> = BTreeMap::new();
    for &node in roles.tasks.iter().flatten() {
        let Work::Communication { axis: Some(axis), participants: Some(stated), .. } = graph.work(node)
        else {
            continue;
        };
        let Some((_, number)) = groups.of(node, 0) else { continue };
        let ranks = groups.members.get(&number).map_or(0, Vec::len);
        if ranks != stated as usize {
            odd.entry(axis).or_insert((0, node, stated, ranks)).0 += 1;
        }
    }
    let notice = |(axis, (count, node, stated, ranks))| {
        let (axis, name): (&str, _) = (graph.axis_name(axis), graph.quoted(node));
        let message = format!(
            "{name} has {stated} participants, but {ranks} ranks lie along axis `{axis}`; it is simulated with \
             {ranks} ({count} collectives of this axis differ)"
        );
        Notice::new(format!("{}.participants", graph.key(node)), message)
    };
    let outside = outside_layout(graph, roles);
    too_many(groups).into_iter().chain(outside).chain(odd.into_iter().map(notice)).collect()
}

/// Numbers of groups that traces can have and simulators cannot count with.
fn too_many(groups: &Groups) -> Option<Notice> {
    let (&last, _) = groups.members.last_key_value()?;
    let message = format!(
        "communicator groups are numbered up to {last}, and simulators take no number above 2147: these traces cannot be \
         simulated"
    );
    GroupId::new(last).is_none().then(|| Notice::new("replicas", message))
}

/// Hardware ids that the layout does not have. Like DeepFlow, groups take them for what is left modulo its span.
fn outside_layout(graph: &Graph, roles: &Roles) -> Option<Notice> {
    let span = graph.layout()?.span();
    let hw = *roles.stages.last().filter(|hw| **hw >= span)?;
    let message = format!(
        "hardware id {hw} lies outside, where ids go from 0 to {}; groups take it for id {}",
        span - 1,
        hw % span
    );
    Some(Notice::new("layout", message))
}
