//! From hardware YAML to a simulated time: every topology, in both dialects, with faulty links, through `build` and
//! through `sim` on the files that it writes.
//!
//! Times follow by hand from one chunk of one mebibyte, links of 50 GiB/s and 500 ns, 10 ns at the endpoint, and
//! local memory of 1,600 GB/s.

use crate::sandbox::{Finished, Sandbox, finish};

const MIB: u64 = 1 << 20;
const DIALECTS: [&str; 2] = ["astra-sim", "deepflow"];

/// Time of a message on a link of so many GiB/s.
fn hop_at(gib_per_s: f64, bytes: u64) -> u64 {
    (500.0 + bytes as f64 / (gib_per_s * 1.073_741_824)) as u64
}

fn hop(bytes: u64) -> u64 {
    hop_at(50.0, bytes)
}

/// Time to reduce so many bytes: three passes.
const fn reduction(bytes: u64) -> u64 {
    3 * (bytes / 1600)
}

/// What a ring of n takes with messages of these bytes: 10 ns, then rounds of one hop and 10 ns, some with a reduction.
fn rounds(rounds: u64, message: u64, reductions: u64) -> u64 {
    10 + rounds * (hop(message) + 10) + reductions * reduction(message)
}

/// A hardware file: of each dimension topology, size and axis with its degree; and more keys of its `network`.
fn hardware(dimensions: &[(&str, &str, &str, u32)], more: &str) -> String {
    let degrees: Vec<String> =
        dimensions.iter().map(|(_, _, axis, degree)| format!("{axis}: {degree}")).collect();
    let mut text = format!("parallelism: {{{}}}\nnetwork:\n{more}  dimensions:\n", degrees.join(", "));
    for (topology, size, axis, _) in dimensions {
        text += &format!(
            "    - parallelisms: [{axis}]\n      size: {size}\n      topology: {{type: {topology}, bandwidth: 50 GB, \
             latency: 500e-9}}\n"
        );
    }
    text
}

fn one(topology: &str, npus: u32) -> String {
    hardware(&[(topology, "auto", "tp", npus)], "")
}

fn all_reduce(ranks: u32) -> String {
    format!(r#"{{ "kind": "collective", "collective": "all_reduce", "ranks": {ranks}, "size": "1 MiB" }}"#)
}

/// One microbatch, a microsecond a stage, 64 KiB to the next rank.
fn pipeline(ranks: u32) -> String {
    format!(
        r#"{{ "kind": "pipeline", "ranks": {ranks}, "microbatches": 1, "compute": "1 us", "size": "64 KiB" }}"#
    )
}

/// A recipe: workload, dialect, and more of its sections.
fn recipe(workload: &str, dialect: &str, more: &str) -> String {
    format!(
        r#"{{ "recipe": 1, "name": "n", "hw": "hardware.yaml", "workload": {workload},
             "engine": {{ "dialect": "{dialect}" }}{more} }}"#
    )
}

fn attempt(hardware: &str, recipe: &str) -> (Sandbox, Finished) {
    let sandbox = Sandbox::new();
    sandbox.write("hardware.yaml", hardware);
    sandbox.write("recipe.json", recipe);
    let built = sandbox.run("build recipe.json --json --out files");
    (sandbox, built)
}

/// The build fails with this exit code and says this.
fn refused(hardware: &str, recipe: &str, code: i32, says: &[&str]) {
    attempt(hardware, recipe).1.exits(code).says(says);
}

/// Builds, and simulates what the build wrote: both give the same time.
fn time(hardware: &str, workload: &str, dialect: &str, more: &str) -> u64 {
    let (sandbox, built) = attempt(hardware, &recipe(workload, dialect, more));
    let built = built.succeeds().build().finish_of("n");
    let files = sandbox.files("files");
    let names = || files.keys().map(|path| path.to_str().unwrap());
    let named = |start: &str| names().find(|name| name.starts_with(start)).unwrap();
    let prefix = names().find_map(|name| name.strip_suffix(".0.et")).unwrap();
    let simulated = sandbox.run(&format!(
        "sim --workload-configuration files/{prefix} --network-configuration files/{} --system-configuration files/{} \
         --dialect {dialect} --json",
        named("network_analytical_"),
        named("system_native_collectives_")
    ));
    let times = simulated.succeeds().value()["finish_ns"].clone();
    assert_eq!(times.as_array().unwrap().iter().filter_map(|t| t.as_u64()).max(), Some(built));
    built
}

/// The time of an all-reduce of one mebibyte in either dialect.
fn times(hardware: &str, ranks: u32, more: &str) -> [u64; 2] {
    DIALECTS.map(|dialect| time(hardware, &all_reduce(ranks), dialect, more))
}

#[test]
fn a_ring_sends_shares_in_one_dialect_and_half_of_them_in_the_other() {
    let expected = [rounds(6, MIB / 4, 3), rounds(6, MIB / 8, 3)];
    assert_eq!(times(&one("Ring", 4), 4, ""), expected);
    assert_eq!(
        times(&hardware(&[("Ring", "[2, 2]", "tp", 4)], ""), 4, ""),
        expected,
        "a shape says nothing here"
    );
}

#[test]
fn fully_connected_ranks_send_directly_twice_all_at_once() {
    let expected = [MIB / 4, MIB / 8].map(|message| rounds(2, message, 1));
    assert_eq!(times(&one("FullyConnected", 4), 4, ""), expected);
}

#[test]
fn halving_and_doubling_over_a_switch_is_the_same_in_both_dialects() {
    // Half, a quarter, a quarter, half, over two hops each; only the first of the steps after a message reduces, a quarter.
    let sizes = [MIB / 2, MIB / 4, MIB / 4, MIB / 2];
    let expected = 10 + sizes.iter().map(|&size| 2 * hop(size) + 10).sum::<u64>() + reduction(MIB / 4);
    assert_eq!(times(&one("Switch", 4), 4, ""), [expected; 2]);
}

#[test]
fn the_last_rank_of_a_mesh_is_three_hops_from_the_first() {
    // The slowest chain of six messages goes twice over the way back of three hops. `mesh` is what `ring` is in the other
    // dialect, whose default it is there.
    let expected = 10 + (4 + 2 * 3) * hop(MIB / 4) + 6 * 10 + 3 * reduction(MIB / 4);
    assert_eq!(times(&one("Mesh", 4), 4, ""), [expected; 2]);
}

#[test]
fn a_hypercube_has_twice_the_bandwidth_and_every_other_neighbour_two_bits_away() {
    let fast = hop_at(100.0, MIB / 4);
    let ring = 10 + (3 + 3 * 2) * fast + 6 * 10 + 3 * reduction(MIB / 4);
    let hypercube = 10 + (2 + 2 * 2) * fast + 4 * 10 + 3 * reduction(MIB / 4);
    assert_eq!(times(&one("HyperCube", 4), 4, ""), [ring, hypercube]);
}

#[test]
fn all_members_of_a_small_king_mesh_are_neighbours() {
    // In dialect deepflow by `torus2d`: four rounds, of which the first reduces.
    assert_eq!(times(&one("KingMesh2D", 4), 4, ""), [rounds(6, MIB / 4, 3), rounds(4, MIB / 4, 1)]);
}

/// Reduce-scatter inside, all-reduce outside, all-gather inside, with the given messages over two rings.
fn two_rings([inner, outer]: [u64; 2], [scatter, reduce, gather]: [u64; 3]) -> u64 {
    rounds(inner - 1, scatter, inner - 1)
        + rounds(2 * (outer - 1), reduce, outer - 1)
        + rounds(inner - 1, gather, 0)
}

#[test]
fn a_torus_is_two_rings_that_messages_share_with_nobody() {
    let expected =
        [two_rings([4, 4], [MIB / 4, MIB / 16, MIB / 4]), two_rings([4, 4], [MIB / 4, MIB / 32, MIB / 8])];
    assert_eq!(times(&one("Torus2D", 16), 16, ""), expected);
    assert_eq!(times(&hardware(&[("Torus2D", "[4, 4]", "tp", 16)], ""), 16, ""), expected);
}

#[test]
fn a_side_of_two_is_a_line() {
    // Two rows are `mesh` in dialect deepflow, which does not halve; the four columns are a ring.
    let torus = hardware(&[("Torus2D", "[2, 4]", "tp", 8)], "");
    let expected =
        [two_rings([2, 4], [MIB / 2, MIB / 8, MIB / 2]), two_rings([2, 4], [MIB / 2, MIB / 16, MIB / 2])];
    assert_eq!(times(&torus, 8, ""), expected);
    let mesh = hardware(&[("Mesh2D", "[2, 2]", "tp", 4)], "");
    assert_eq!(times(&mesh, 4, ""), [two_rings([2, 2], [MIB / 2, MIB / 4, MIB / 2]); 2]);
}

#[test]
fn a_grid_of_another_shape_gives_the_same_through_its_files() {
    let mesh = hardware(&[("Mesh2D", "[3, 4]", "tp", 12)], "");
    let [upstream, fork] = times(&mesh, 12, "");
    assert_eq!(upstream, fork, "mesh is the other dialect's ring");
    assert!(upstream > two_rings([3, 4], [MIB / 3, MIB / 12, MIB / 3]), "the way back is longer");
    let [upstream, fork] = times(&one("KingMesh2D", 9), 9, "");
    assert!(fork < upstream, "torus2d has fewer rounds: {fork}, {upstream}");
}

#[test]
fn flattened_grids_are_ring_mesh_and_hypercube() {
    let flat = r#", "layout": { "flatten_2d": true }"#;
    let ring = [MIB / 16, MIB / 32].map(|message| rounds(30, message, 15));
    assert_eq!(times(&one("Torus2D", 16), 16, flat), ring);
    assert_eq!(times(&one("Mesh2D", 4), 4, flat), times(&one("Mesh", 4), 4, ""));
    assert_eq!(times(&one("KingMesh2D", 4), 4, flat), times(&one("HyperCube", 4), 4, ""));
}

#[test]
fn three_dimensions_of_two_kinds_are_crossed_one_after_the_other() {
    // 2 × 2 lines, and a switch between two such squares. Over two members halving and doubling is two messages of a half.
    let machine = hardware(&[("Mesh2D", "[2, 2]", "tp", 4), ("Switch", "auto", "dp", 2)], "");
    let scatters = rounds(1, MIB / 2, 1) + rounds(1, MIB / 4, 1);
    let outer = 10 + 2 * (2 * hop(MIB / 8) + 10);
    let gathers = rounds(1, MIB / 4, 0) + rounds(1, MIB / 2, 0);
    assert_eq!(times(&machine, 8, ""), [scatters + outer + gathers; 2]);
}

#[test]
fn what_somebody_fixed_wins_over_the_default_of_the_topology() {
    let ring = [rounds(6, MIB / 4, 3), rounds(6, MIB / 8, 3)];
    let hardware = one("FullyConnected", 4) + "      collective_override: {all_reduce: ring}\n";
    assert_eq!(times(&hardware, 4, ""), ring);
    let recipe = r#", "policy": { "collectives": { "all_reduce": "ring" } }"#;
    assert_eq!(times(&one("FullyConnected", 4), 4, recipe), ring);
    let hypercube = r#", "policy": { "collectives": { "all_reduce": "hypercube" } }"#;
    let fixed = time(&one("FullyConnected", 4), &all_reduce(4), "deepflow", hypercube);
    assert_eq!(fixed, rounds(4, MIB / 4, 3));
}

#[test]
fn at_a_slow_link_the_messages_of_a_ring_wait_for_each_other() {
    let machine = hardware(&[("Ring", "auto", "tp", 4)], "  faulty_links: [[0, 1, 0.5]]\n");
    // Rank 0 has its next message ready before the link has sent the one before; the sixth pays for latency.
    let sending = |bytes| hop_at(25.0, bytes) - 500;
    let expected = [MIB / 4, MIB / 8].map(|message| 10 + 5 * sending(message) + hop_at(25.0, message) + 10);
    assert_eq!(times(&machine, 4, ""), expected);
    // In one dimension a ring has no other way: a dead link is used as if it were healthy.
    let dead = hardware(&[("Ring", "auto", "tp", 4)], "  faulty_links: [[0, 1, 0]]\n");
    assert_eq!(times(&dead, 4, ""), times(&one("Ring", 4), 4, ""));
}

#[test]
fn messages_go_round_a_dead_link_of_two_dimensions() {
    // From rank to rank of 4 × 3: nine neighbours, and two steps to the next row of two hops.
    let dimensions = [("Ring", "auto", "tp", 4), ("Ring", "auto", "dp", 3)];
    let healthy = 12 * 1000 + 13 * hop(65_536);
    // 0 to 1 over 4 and 5 are three hops instead of one.
    let faulty = "  faulty_links: [[0, 1, 0]]\n";
    for dialect in DIALECTS {
        assert_eq!(time(&hardware(&dimensions, ""), &pipeline(12), dialect, ""), healthy);
        let around = time(&hardware(&dimensions, faulty), &pipeline(12), dialect, "");
        assert_eq!(around, healthy + 2 * hop(65_536));
    }
}

#[test]
fn a_message_without_a_way_is_an_error_that_names_the_link() {
    let dead = hardware(&[("Mesh", "auto", "tp", 4)], "  faulty_links: [[1, 2, 0]]\n");
    for dialect in DIALECTS {
        refused(
            &dead,
            &recipe(&all_reduce(4), dialect, ""),
            1,
            &["from rank 1 to rank 2", "dead link from device 1 to 2", "faulty_links"],
        );
    }
}

#[test]
fn an_algorithm_of_the_other_dialect_is_refused_where_it_was_chosen() {
    let overridden = one("Mesh", 4) + "      collective_override: {all_gather: mesh}\n";
    let says = [
        "network.dimensions[0].collective_override.all_gather",
        "mesh exists in dialect deepflow, not in astra-sim",
        "hint: write `\"dialect\": \"deepflow\"` under `engine` in the recipe, or choose another algorithm",
    ];
    refused(&overridden, &recipe(&all_reduce(4), "astra-sim", ""), 3, &says);
    let policy = r#", "policy": { "collectives": { "all_reduce": "torus2d" } }"#;
    let says = [
        "recipe.json: policy.collectives.all_reduce",
        "torus2d exists in dialect deepflow, not in astra-sim",
    ];
    refused(&one("Ring", 4), &recipe(&all_reduce(4), "astra-sim", policy), 3, &says);
    time(&overridden, &all_reduce(4), "deepflow", "");
}

#[test]
fn networks_that_cannot_be_are_refused_with_the_key_of_the_hardware_file() {
    let aware = |hardware: &str, ranks, says: &[&str]| {
        refused(hardware, &recipe(&all_reduce(ranks), "deepflow", ""), 3, says);
    };
    aware(&one("KingMesh2D", 8), 8, &["hardware.yaml: network.dimensions[0].size", "square"]);
    let beyond = hardware(&[("Ring", "auto", "tp", 4)], "  faulty_links: [[0, 1, 0.5], [2, 9, 0.5]]\n");
    aware(
        &beyond,
        4,
        &[
            "hardware.yaml: network.faulty_links[1]",
            "[2, 9, 0.5]",
            "devices 0 to 3",
            "hint: this run has 4 ranks",
        ],
    );
    let unaware = |hardware: &str, ranks, says: &[&str]| {
        let recipe = recipe(&all_reduce(ranks), "deepflow", "");
        let recipe = recipe.replace("\"dialect\"", "\"network\": \"congestion_unaware\", \"dialect\"");
        refused(hardware, &recipe, 3, says);
    };
    unaware(
        &one("KingMesh2D", 4),
        4,
        &["network.dimensions[0].topology.type", "KingMesh2D", "congestion_unaware"],
    );
    unaware(&one("HyperCube", 6), 6, &["network.dimensions[0].size", "power of two"]);
    let faulty = hardware(&[("Ring", "auto", "tp", 4)], "  faulty_links: [[0, 1, 0.5]]\n");
    unaware(&faulty, 4, &["network.faulty_links", "congestion_unaware"]);
}

#[test]
fn a_dialect_is_in_the_key_of_the_run_and_of_nothing_that_is_the_same_in_both() {
    let sandbox = Sandbox::new();
    sandbox.write("hardware.yaml", one("Ring", 4));
    let sweep = r#", "sweep": { "grid": { "engine.dialect": ["astra-sim", "deepflow"] } }"#;
    sandbox.write("recipe.json", recipe(&all_reduce(4), "astra-sim", sweep));
    let build = sandbox.build("");
    assert_eq!(build.finish_of("dialect=astra-sim"), rounds(6, MIB / 4, 3));
    assert_eq!(build.finish_of("dialect=deepflow"), rounds(6, MIB / 8, 3));
    let executed: Vec<_> = build.executed().into_iter().collect();
    assert_eq!(executed, [("configs", 1), ("et", 1), ("hw", 1), ("policy", 2), ("run", 2)]);
}

/// A hardware file of 32 ranks and a recipe for it, in dialect `deepflow`, that every check finds in order and that stalls.
pub(crate) fn stalling() -> (String, String) {
    let dimensions = [("Torus2D", "auto", "tp", 16), ("Switch", "auto", "dp", 2)];
    let pods = hardware(&dimensions, "  faulty_links: [[0, 1, 0.5]]\n");
    let chunks = r#", "system": { "preferred-dataset-splits": 2 }"#;
    (pods, recipe(&all_reduce(32), "deepflow", chunks))
}

#[test]
fn phases_that_a_slow_link_drives_apart_need_a_queue_for_each_direction() {
    let (pods, recipe) = stalling();
    let with_queues = |queues: u32| {
        recipe.replace("\"dialect\"", &format!("\"queues_per_dimension\": {queues}, \"dialect\""))
    };
    refused(&pods, &with_queues(1), 1, &["stalled", "engine.queues_per_dimension"]);
    let (sandbox, built) = attempt(&pods, &with_queues(2));
    let built = built.succeeds().build().finish_of("n");
    let simulated = sandbox.run(
        "sim --workload-configuration files/all_reduce --network-configuration files/network_analytical_16_2.yml \
         --system-configuration files/system_native_collectives_16_2.json --dialect deepflow --num-queues-per-dim 2 --json",
    );
    let times = simulated.succeeds().value()["finish_ns"].clone();
    assert_eq!(times.as_array().unwrap().iter().filter_map(|t| t.as_u64()).max(), Some(built));
}

#[test]
fn the_example_with_a_bad_link_takes_what_its_page_says() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command("build --json");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/faulty-link.json"));
    let build = finish(&mut command).succeeds().build();
    for size in [1, 64] {
        let bytes = size * MIB;
        let rows = rounds(3, bytes / 4, 3) + rounds(3, bytes / 8, 0);
        let columns = rounds(3, bytes / 16, 3) + rounds(3, bytes / 32, 0);
        let pod = bytes / 16;
        let twice = |bytes: u64| 2 * (hop_at(25.0, bytes) + 500);
        let sizes = [pod / 2, pod / 4, pod / 4, pod / 2];
        let fabric = 10 + sizes.iter().map(|&size| twice(size) + 10).sum::<u64>() + reduction(pod / 4);
        let finish = |case: &str| build.finish_of(&format!("size={size} MiB,case={case}"));
        assert_eq!(finish("healthy"), rows + columns + fabric);
        assert!(finish("healthy") < finish("half") && finish("half") < finish("dead"));
        assert!(finish("dead") < finish("tenth"), "round a dead link is faster than over a slow one");
    }
}
