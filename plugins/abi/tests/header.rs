//! `include/astra_policy.h` and `raw` are one interface: a C compiler says every size, offset and number.

use std::collections::BTreeMap;
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;

use astra_policy::{Algorithm, Collective, CollectiveOptimization, Dialect, NetworkModel, Topology, raw};

/// The C name of a figure, and what Rust says it is.
type Figures = BTreeMap<String, i64>;

macro_rules! structure {
    ($figures:ident, $c:literal, $rust:ty { $($member:ident),+ $(,)? }) => {
        $figures.insert(format!("sizeof({})", $c), size_of::<$rust>() as i64);
        $( $figures.insert(
            format!("offsetof({}, {})", $c, stringify!($member)),
            offset_of!($rust, $member) as i64,
        ); )+
    };
}

fn structures() -> Figures {
    let mut figures = Figures::new();
    structure!(figures, "astra_policy_text", raw::Text { data, len });
    structure!(figures, "astra_policy_buffer", raw::Buffer { data, capacity, len });
    structure!(
        figures,
        "astra_policy_dimension",
        raw::Dimension { struct_size, id, topology, npus, bandwidth_bytes_per_s, latency_ns, allowed }
    );
    structure!(
        figures,
        "astra_policy_request",
        raw::Request {
            struct_size,
            collective,
            element_bytes,
            payload_bytes,
            ranks,
            group_count,
            group,
            dimension_count,
            algorithm_count,
            dimension_stride,
            dimensions,
            endpoint_delay_ns,
            dataset_splits,
            active_chunks,
            network_model,
            dialect,
            local_memory_bytes_per_s,
            collective_optimization,
            queues_per_dimension,
        }
    );
    structure!(
        figures,
        "astra_policy_answer",
        raw::Answer {
            struct_size,
            dimension_count,
            dataset_splits,
            active_chunks,
            reserved,
            algorithms,
            costs_ns,
            cost_stride,
            predicted_ns,
            reason,
        }
    );
    structure!(
        figures,
        "astra_policy_plugin",
        raw::Plugin { struct_size, name, version, description, open, decide, close }
    );
    figures
}

/// `HALVING_DOUBLING` of `halvingDoubling`, `TORUS_2D` of `Torus2D`, `DEEPFLOW` of `deepflow`.
fn constant(name: &str) -> String {
    let mut constant = String::new();
    let mut before = '_';
    for c in name.chars() {
        let word_begins = (c.is_ascii_uppercase() && before.is_ascii_lowercase())
            || (c.is_ascii_digit() && before.is_ascii_alphabetic());
        if word_begins {
            constant.push('_');
        }
        constant.push(if c == '-' { '_' } else { c.to_ascii_uppercase() });
        before = c;
    }
    constant
}

fn numbers() -> Figures {
    let mut figures = Figures::new();
    let mut insert = |prefix: &str, name: &str, number: u32| {
        figures.insert(format!("ASTRA_POLICY_{prefix}{}", constant(name)), i64::from(number));
    };
    Collective::ALL.into_iter().for_each(|member| insert("", member.name(), member.number()));
    Topology::ALL.into_iter().for_each(|member| insert("", member.name(), member.number()));
    NetworkModel::ALL.into_iter().for_each(|member| insert("", member.name(), member.number()));
    Dialect::ALL.into_iter().for_each(|member| insert("", member.name(), member.number()));
    for optimization in CollectiveOptimization::ALL {
        // An abbreviation in capitals does not show where its next word begins.
        insert("", &optimization.name().replace("BWA", "BwA"), optimization.number());
    }
    for algorithm in Algorithm::ALL {
        // `hypercube` is one word in files, two in the header's topologies and so in its algorithms.
        let name = if algorithm == Algorithm::HyperCube { "hyperCube" } else { algorithm.name() };
        insert("ALGORITHM_", name, algorithm.number());
    }
    for (name, number) in [
        ("OK", raw::OK),
        ("NO_OPINION", raw::NO_OPINION),
        ("ERROR", raw::ERROR),
        ("UNDECIDED", raw::UNDECIDED),
        ("NO_COST", raw::NO_COST as i32),
    ] {
        figures.insert(format!("ASTRA_POLICY_{name}"), i64::from(number));
    }
    figures
}

fn program(figures: &Figures) -> String {
    let print = |name: &String| format!("    printf(\"%lld\\t%s\\n\", (long long)({name}), \"{name}\");\n");
    let prints: String = figures.keys().map(print).collect();
    format!(
        "#include <stdio.h>\n#include \"astra_policy.h\"\n\nint main(void) {{\n{prints}    return 0;\n}}\n"
    )
}

#[test]
fn a_c_compiler_sees_the_sizes_offsets_and_numbers_that_rust_sees() {
    let expected: Figures = structures().into_iter().chain(numbers()).collect();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (source, binary) = (directory.join("header.c"), directory.join("header"));
    std::fs::write(&source, program(&expected)).unwrap();
    let include = concat!("-I", env!("CARGO_MANIFEST_DIR"), "/include");
    let flags = ["-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror", include];
    let Ok(compiled) = Command::new("cc").args(flags).arg(&source).arg("-o").arg(&binary).output() else {
        eprintln!("SKIPPED: no C compiler `cc`, so astra_policy.h was compared with nothing");
        return;
    };
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let printed = Command::new(&binary).output().unwrap().stdout;
    let printed = String::from_utf8(printed).unwrap();
    let found: Figures = printed
        .lines()
        .map(|line| line.split_once('\t').unwrap())
        .map(|(number, name)| (name.to_owned(), number.parse().unwrap()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn every_number_of_the_header_is_one_that_rust_knows() {
    let header = include_str!("../include/astra_policy.h");
    let defined = header.lines().filter_map(|line| line.strip_prefix("#define ASTRA_POLICY_"));
    let simple = defined.filter_map(|rest| rest.split_once(' ')).filter(|(name, _)| !name.contains('('));
    let known = numbers();
    let mut count = 0;
    for (name, _) in simple.filter(|(name, _)| *name != "EXPORT") {
        assert!(known.contains_key(&format!("ASTRA_POLICY_{name}")), "{name}");
        count += 1;
    }
    assert_eq!(count, known.len());
}

/// Sizes of version 1 on a 64-bit machine. A struct may grow in a later release; what is there stays where it is.
#[cfg(target_pointer_width = "64")]
#[test]
fn what_version_1_holds_stays_where_it_is() {
    let golden = [
        ("offsetof(astra_policy_dimension, allowed)", 48),
        ("offsetof(astra_policy_request, queues_per_dimension)", 100),
        ("offsetof(astra_policy_answer, reason)", 56),
        ("offsetof(astra_policy_plugin, close)", 72),
    ];
    let figures = structures();
    for (name, offset) in golden {
        assert_eq!(figures[name], offset, "{name}");
    }
}
