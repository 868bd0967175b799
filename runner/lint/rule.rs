//! The rules of the lint: what each is called, why it matters, and how to mend what breaks it.
//!
//! `docs/traces.md` lists them all; a test holds it to that.

/// Which rule a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A file of a bundle is a whole Chakra trace.
    File,
    /// The network can be simulated.
    Network,
    /// The system settings are in range, and no list of algorithms is longer than the network has dimensions.
    System,
    /// There is a trace for every rank of the network, and groups consist of its ranks.
    Workload,
    /// Nodes have the attributes their type needs, with values and types that the simulator reads.
    Attribute,
    /// Every node of a trace has an id of its own.
    DuplicateId,
    /// Nodes depend on nodes that exist, and not on themselves, directly or in a circle.
    Dependency,
    /// The simulator can execute the node.
    Node,
    /// Computations take time.
    Duration,
    /// Nodes that finish at once do not have to start others.
    Immediate,
    /// The original can report on every node.
    Report,
    /// Collectives name groups that exist and that the rank is a member of.
    Group,
    /// There is an algorithm, able to carry out the collective, for every dimension of the network.
    Algorithm,
    /// Collectives and messages have a size that can be simulated.
    Size,
    /// All members of a group take part in the same collectives.
    CollectivesAgree,
    /// All members of a group take part in its collectives in the same order.
    CollectivesOrder,
    /// All ranks have started equally many chunks when they reach a collective over all ranks.
    CounterSkew,
    /// Groups that have ranks in common have chunks with different tags.
    GroupTags,
    /// Messages go to another rank of the network, with a tag in range.
    Peer,
    /// What one rank sends another receives, as often, with the same size and tag.
    MessagesMatch,
    /// Ranks do not wait for each other in a circle.
    WaitCycle,
}

impl Rule {
    /// Every rule, in the order of the documentation.
    pub const ALL: [Self; 21] = [
        Self::File,
        Self::Network,
        Self::System,
        Self::Workload,
        Self::Attribute,
        Self::DuplicateId,
        Self::Dependency,
        Self::Node,
        Self::Duration,
        Self::Immediate,
        Self::Report,
        Self::Group,
        Self::Algorithm,
        Self::Size,
        Self::CollectivesAgree,
        Self::CollectivesOrder,
        Self::CounterSkew,
        Self::GroupTags,
        Self::Peer,
        Self::MessagesMatch,
        Self::WaitCycle,
    ];

    /// The rule's name in listings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Network => "network",
            Self::System => "system",
            Self::Workload => "workload",
            Self::Attribute => "attribute",
            Self::DuplicateId => "duplicate-id",
            Self::Dependency => "dependency",
            Self::Node => "node",
            Self::Duration => "duration",
            Self::Immediate => "immediate",
            Self::Report => "report",
            Self::Group => "group",
            Self::Algorithm => "algorithm",
            Self::Size => "size",
            Self::CollectivesAgree => "collectives-agree",
            Self::CollectivesOrder => "collectives-order",
            Self::CounterSkew => "counter-skew",
            Self::GroupTags => "group-tags",
            Self::Peer => "peer",
            Self::MessagesMatch => "messages-match",
            Self::WaitCycle => "wait-cycle",
        }
    }

    /// What happens when nobody mends it.
    pub const fn why(self) -> &'static str {
        match self {
            Self::File => "the rank's work is not known",
            Self::Network => "the network cannot be simulated",
            Self::System => {
                "the system layer cannot run with these settings; the original aborts, or hangs at the first collective"
            }
            Self::Workload => {
                "every rank of the network needs one trace, and the members of groups have to be ranks"
            }
            Self::Attribute => {
                "the original throws when it reaches the node, and in the middle of a run it hangs and still exits with 0"
            }
            Self::DuplicateId => "of nodes with one id only the last counts, with the dependencies of all",
            Self::Dependency => {
                "a node that waits for one that never finishes never starts; the original reports the rank as finished"
            }
            Self::Node => "the simulation ends when a rank reaches the node",
            Self::Duration => {
                "a computation of no time takes 1 ns; usually a time was lost in rounding to microseconds"
            }
            Self::Immediate => {
                "what waits for such a node is looked at only when another node of the rank completes; without one the rank stalls"
            }
            Self::Report => {
                "the original prints no wall time for the rank, and aborts when its last node is a message"
            }
            Self::Group => "the original aborts, or hangs in a group of one",
            Self::Algorithm => "the collective would stall, abort or be another one than the trace asks for",
            Self::Size => {
                "the original aborts on a message of no bytes, and an all-gather of too few bytes never ends"
            }
            Self::CollectivesAgree => "the members that take part wait for ever for those that do not",
            Self::CollectivesOrder => {
                "members pair their collectives by order alone: they exchange chunks of different ones, or stall"
            }
            Self::CounterSkew => {
                "chunks of collectives over all ranks are numbered after all chunks a rank has started, so that the numbers of \
                 the ranks differ and the collective stalls or pairs wrong chunks"
            }
            Self::GroupTags => {
                "a rank in both may take a message of one group for one of the other when their sizes are equal, as the original \
                 does: the collectives stall, or exchange the wrong chunks"
            }
            Self::Peer => "the message cannot be routed",
            Self::MessagesMatch => {
                "a receive without its send never completes; a message that nobody receives takes its time on the way and is lost"
            }
            Self::WaitCycle => "none of these nodes can ever complete, whatever the times are",
        }
    }

    /// What to do about it.
    pub const fn fix(self) -> &'static str {
        match self {
            Self::File => "write the file again; `astra-store et dump` shows what can be read",
            Self::Network => "correct the network file",
            Self::System => "correct the system file, or the option",
            Self::Workload => "give as many traces as the network has ranks, and correct the group file",
            Self::Attribute => {
                "write the attribute once, with the type of the schema: whole numbers for sizes, ranks and tags, text for pg_name"
            }
            Self::DuplicateId => "number the nodes of a rank without repetition",
            Self::Dependency => "remove the dependency, or add the node it names",
            Self::Node => "remove the node, or give it a type and settings that can be simulated",
            Self::Duration => "give a duration of at least a microsecond, or remove the node",
            Self::Immediate => "make it a computation, which takes at least 1 ns",
            Self::Report => "make it a computation on the accelerator if times are to come from the original",
            Self::Group => "define the group with at least two ranks, this one among them, in the group file",
            Self::Algorithm => "name an algorithm per dimension that can carry out the collective",
            Self::Size => "give a larger size",
            Self::CollectivesAgree => "let every member issue the collective, with the same type and size",
            Self::CollectivesOrder => {
                "chain the collectives of a group by dependencies, in one order on all members"
            }
            Self::CounterSkew => {
                "use a communicator group that lists all ranks instead of the default group, whose chunks are numbered apart"
            }
            Self::GroupTags => {
                "give groups with ranks in common ids that differ modulo 500, and none of them a million chunks"
            }
            Self::Peer => "send to another rank of the network, with a tag below 2^31",
            Self::MessagesMatch => "give each receive one send with the same peers, tag and size",
            Self::WaitCycle => "post receives without dependencies where possible, and send before waiting",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_every_rule_with_its_reason() {
        let docs = include_str!("../../docs/traces.md");
        for (index, rule) in Rule::ALL.into_iter().enumerate() {
            assert_eq!(rule as usize, index);
            assert!(docs.contains(&format!("\n| `{}` |", rule.as_str())), "{}", rule.as_str());
        }
    }
}
