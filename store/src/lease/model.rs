//! The protocol of leases, roots and collection as a small machine, in every order of events.
//!
//! Two builders and one collection act one step at a time, in any order; a builder may die before any of its steps.
//! There is a blob B, old and needed by nobody, and there may be a record K that names it. A *hit* relies on K as it
//! finds it; a *publication* relies on B, which it finds, and brings K. Whatever somebody relies on or has rooted must
//! be there, always. Then every rule of the protocol is broken in turn, and an order is found in which content is lost.

use std::collections::HashMap;

/// What is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    /// Nothing: this is what the store does.
    Nothing,
    /// A builder looks first and leases afterwards.
    LeaseAfterLooking,
    /// A builder leases without passing the gate.
    LeaseWithoutGate,
    /// A publication does not lease what it finds there already.
    PublishWithoutLease,
    /// A builder lets go of its lease before its root is committed.
    LetGoBeforeRooting,
    /// Collection does not look at leases again when it deletes.
    ForgetNewLeases,
    /// Collection does not look at roots again when it deletes.
    ForgetNewRoots,
    /// Collection does not look at records that were written since it planned.
    ForgetArrivals,
    /// Collection looks at roots and new records first and begins its change afterwards.
    LookBeforeChange,
    /// Collection reads the leases first and shuts the gate afterwards.
    ReadLeasesBeforeGate,
    /// Collection opens the gate before its change is committed.
    OpenGateBeforeCommit,
}

/// Sets of what there is: K, which names B, and B.
type Set = u8;
const K: Set = 1;
const B: Set = 2;
const BOTH: Set = K | B;

/// What a builder does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Passes the gate and says so in its lease.
    Lease(Set),
    /// Takes a view of the store, and relies on K if that and what it names is there; else its part is over.
    Hit,
    /// Takes a view of the store, and relies on B if it is there; else it will bring it.
    LookForBlob,
    /// Commits K, and B if it was not found.
    Publish,
    /// Commits a root that needs K.
    Root,
    /// Ends its lease.
    LetGo,
}

const HIT: &[Step] = &[Step::Lease(K), Step::Hit, Step::Root, Step::LetGo];
const PUBLICATION: &[Step] =
    &[Step::Lease(B), Step::LookForBlob, Step::Lease(K), Step::Publish, Step::Root, Step::LetGo];
/// As of a build that is interrupted in good order.
const WITHOUT_ROOT: &[Step] =
    &[Step::Lease(B), Step::LookForBlob, Step::Lease(K), Step::Publish, Step::LetGo];

/// What collection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// Reads the lease of one builder.
    ReadLease(usize),
    /// Takes the view that the plan is made from.
    Plan,
    /// Begins a change: nobody else commits until it ends.
    Begin,
    /// Nobody leases until it is opened.
    ShutGate,
    /// Reads the roots that there are now.
    ReadRoots,
    /// Reads the records that were written since the plan.
    ReadArrivals,
    /// Commits the deletion of what is not marked of these, and ends the change.
    Delete(Set),
    OpenGate,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Builder {
    /// Number of the next step.
    next: usize,
    leased: Set,
    relies_on: Set,
    over: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct World {
    there: Set,
    rooted: bool,
    /// How many times K has been written.
    written: u8,
    builders: [Builder; 2],
    // Of the collection:
    next: usize,
    /// What leases said before the plan.
    leased: Set,
    /// What was there when it planned, and how many times K had been written.
    known: Set,
    written_before: u8,
    marked: Set,
    changing: bool,
    gate_shut: bool,
}

impl World {
    /// Marking K leads to B only when the record is known: from the plan, or because its arrival is read.
    fn mark(&mut self, what: Set) {
        self.marked |= what;
        if what & K & self.known != 0 {
            self.marked |= B;
        }
    }

    /// What must be there.
    fn needed(&self) -> Set {
        let relied_on = self.builders.iter().fold(0, |set, builder| set | builder.relies_on);
        if self.rooted { BOTH } else { relied_on }
    }
}

struct Machine {
    builders: [Vec<Step>; 2],
    collection: Vec<Act>,
    broken: Broken,
}

impl Machine {
    fn new(builders: [&[Step]; 2], broken: Broken) -> Self {
        let builders = builders.map(|steps| {
            let mut steps = steps.to_vec();
            match broken {
                Broken::LeaseAfterLooking => {
                    swap(&mut steps, Step::Lease(K), Step::Hit);
                    swap(&mut steps, Step::Lease(B), Step::LookForBlob);
                }
                Broken::PublishWithoutLease => steps.retain(|step| *step != Step::Lease(B)),
                Broken::LetGoBeforeRooting => swap(&mut steps, Step::Root, Step::LetGo),
                _ => {}
            }
            steps
        });
        let mut collection = vec![Act::ReadLease(0), Act::ReadLease(1), Act::Plan];
        // Records and blobs go in one change each, so that others get in between.
        for deleted in [K, B] {
            let mut change = match broken {
                Broken::LookBeforeChange => vec![
                    Act::ReadRoots,
                    Act::ReadArrivals,
                    Act::Begin,
                    Act::ShutGate,
                    Act::ReadLease(0),
                    Act::ReadLease(1),
                ],
                Broken::ReadLeasesBeforeGate => vec![
                    Act::Begin,
                    Act::ReadLease(0),
                    Act::ReadLease(1),
                    Act::ShutGate,
                    Act::ReadRoots,
                    Act::ReadArrivals,
                ],
                _ => vec![
                    Act::Begin,
                    Act::ShutGate,
                    Act::ReadLease(0),
                    Act::ReadLease(1),
                    Act::ReadRoots,
                    Act::ReadArrivals,
                ],
            };
            change.retain(|act| match broken {
                Broken::ForgetNewLeases => !matches!(act, Act::ReadLease(_)),
                Broken::ForgetNewRoots => *act != Act::ReadRoots,
                Broken::ForgetArrivals => *act != Act::ReadArrivals,
                _ => true,
            });
            change.extend(match broken {
                Broken::OpenGateBeforeCommit => [Act::OpenGate, Act::Delete(deleted)],
                _ => [Act::Delete(deleted), Act::OpenGate],
            });
            collection.extend(change);
        }
        Self { builders, collection, broken }
    }

    /// Every world that can come next, with what happened.
    fn successors(&self, world: &World) -> Vec<(String, World)> {
        let mut successors = Vec::new();
        for number in 0..2 {
            let builder = &world.builders[number];
            if builder.over {
                continue;
            }
            let step = self.builders[number][builder.next];
            if let Some(after) = self.step(world, number, step) {
                successors.push((format!("builder {number}: {step:?}"), after));
            }
            let mut after = *world;
            after.builders[number] = Builder { over: true, ..Builder::default() };
            successors.push((format!("builder {number} dies"), after));
        }
        if let Some(act) = self.collection.get(world.next)
            && let Some(after) = act_on(world, *act)
        {
            successors.push((format!("collection: {act:?}"), after));
        }
        successors
    }

    /// What a step of a builder leads to; `None` when it has to wait.
    fn step(&self, before: &World, number: usize, step: Step) -> Option<World> {
        let mut world = *before;
        let builder = &mut world.builders[number];
        builder.next += 1;
        match step {
            Step::Lease(_) if before.gate_shut && self.broken != Broken::LeaseWithoutGate => return None,
            Step::Publish | Step::Root if before.changing => return None,
            Step::Lease(what) => builder.leased |= what,
            Step::Hit if before.there == BOTH => builder.relies_on = BOTH,
            Step::Hit => *builder = Builder { over: true, ..Builder::default() },
            Step::LookForBlob => builder.relies_on = before.there & B,
            Step::Publish => {
                // What was found is not written again.
                world.there |= K | (B & !builder.relies_on);
                builder.relies_on = BOTH;
                world.written += 1;
            }
            Step::Root => world.rooted = true,
            Step::LetGo => (builder.leased, builder.relies_on) = (0, 0),
        }
        let builder = &mut world.builders[number];
        if builder.next == self.builders[number].len() {
            *builder = Builder { over: true, ..Builder::default() };
        }
        Some(world)
    }
}

/// What an act of the collection leads to; `None` when it has to wait.
fn act_on(before: &World, act: Act) -> Option<World> {
    let mut world = *before;
    world.next += 1;
    match act {
        Act::ReadLease(number) => {
            world.leased |= before.builders[number].leased;
            world.mark(world.leased);
        }
        Act::Plan => {
            (world.known, world.written_before) = (before.there, before.written);
            world.mark(before.leased);
            if before.rooted {
                world.mark(BOTH);
            }
        }
        Act::Begin => world.changing = true,
        Act::ShutGate => world.gate_shut = true,
        Act::ReadRoots if before.rooted => world.mark(K),
        Act::ReadRoots => {}
        Act::ReadArrivals if before.written > before.written_before => world.marked |= before.there,
        Act::ReadArrivals => {}
        Act::Delete(what) => {
            world.there &= !(what & before.known & !before.marked);
            world.changing = false;
        }
        Act::OpenGate => world.gate_shut = false,
    }
    Some(world)
}

fn swap(steps: &mut [Step], first: Step, second: Step) {
    if let Some(at) = steps.windows(2).position(|pair| pair == [first, second]) {
        steps.swap(at, at + 1);
    }
}

/// What an exploration came to.
#[derive(Default)]
struct Explored {
    /// How many orders of events lead from each world to an end.
    orders: HashMap<World, u128>,
}

impl Explored {
    /// Visits every order of events from here on; the events that led to a loss, the last one first.
    fn visit(&mut self, machine: &Machine, world: &World) -> Result<u128, Vec<String>> {
        if world.needed() & !world.there != 0 {
            return Err(vec![format!("lost: {world:?}")]);
        }
        if let Some(&orders) = self.orders.get(world) {
            return Ok(orders);
        }
        let mut orders = 0;
        let successors = machine.successors(world);
        for (event, next) in &successors {
            orders += self.visit(machine, next).map_err(|mut events| {
                events.push(event.clone());
                events
            })?;
        }
        if successors.is_empty() {
            assert_eq!(world.next, machine.collection.len(), "somebody waits for ever: {world:?}");
            orders = 1;
        }
        self.orders.insert(*world, orders);
        Ok(orders)
    }
}

/// Tries every pair of builders on every store: how many worlds and orders there are, or how content is lost.
fn explore(broken: Broken) -> Result<(usize, u128), Vec<String>> {
    let scripts = [HIT, PUBLICATION, WITHOUT_ROOT];
    let (mut worlds, mut orders) = (0, 0);
    for (i, first) in scripts.iter().enumerate() {
        for second in &scripts[i..] {
            let machine = Machine::new([first, second], broken);
            for there in [0, B, BOTH] {
                let mut explored = Explored::default();
                orders += explored.visit(&machine, &World { there, ..World::default() })?;
                worlds += explored.orders.len();
            }
        }
    }
    Ok((worlds, orders))
}

#[test]
fn nothing_that_is_relied_on_or_rooted_is_lost_in_any_order_of_events() {
    let (worlds, orders) = explore(Broken::Nothing)
        .unwrap_or_else(|events| panic!("{:#?}", events.into_iter().rev().collect::<Vec<_>>()));
    println!("two builders and a collection: {orders} interleavings, {worlds} states, nothing lost");
    assert!(worlds > 10_000 && orders > 1_000_000_000, "{worlds} states, {orders} orders");
}

#[test]
fn every_rule_of_the_protocol_is_needed() {
    for broken in [
        Broken::LeaseAfterLooking,
        Broken::LeaseWithoutGate,
        Broken::PublishWithoutLease,
        Broken::LetGoBeforeRooting,
        Broken::ForgetNewLeases,
        Broken::ForgetNewRoots,
        Broken::ForgetArrivals,
        Broken::LookBeforeChange,
        Broken::ReadLeasesBeforeGate,
        Broken::OpenGateBeforeCommit,
    ] {
        let events = explore(broken).expect_err(&format!("{broken:?} loses nothing"));
        println!("{broken:?}: lost after {} events", events.len() - 1);
    }
}
