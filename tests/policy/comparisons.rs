//! The policy `best`, and recipes under several policies.

use serde_json::{Value, json};

use crate::builds::Study;
use crate::plugins::c;

const SIZES: [&str; 4] = ["16 KiB", "64 KiB", "256 KiB", "1 MiB"];

#[test]
fn best_is_never_slower_than_what_it_could_have_chosen_and_predicts_what_is_simulated() {
    let study = Study::new(&json!({ "plugin": "best" }));
    let best = study.built();
    // Each size is a step of its own, so that another size costs no simulation of these.
    assert_eq!(best.executed()["policy"], 4);
    let shown: Value = serde_json::from_slice(&study.run("--json show study --decisions").stdout).unwrap();
    for (point, size) in shown["points"].as_array().unwrap().iter().zip(SIZES) {
        let predicted = point["decisions"][0]["predicted_ns"].as_f64().unwrap();
        assert_eq!(predicted, best.finish_ns(size) as f64, "{size}");
    }
    for algorithm in ["ring", "direct", "halvingDoubling", "doubleBinaryTree"] {
        study.recipe(&json!({ "plugin": "fixed", "config": format!("* = {algorithm}") }), &SIZES);
        let other = study.built();
        assert!(SIZES.iter().all(|size| best.finish_ns(size) <= other.finish_ns(size)), "{algorithm}");
    }
    study.recipe(&json!({ "plugin": "best" }), &["16 KiB", "32 KiB"]);
    assert_eq!(study.built().executed()["policy"], 1);
}

#[test]
fn a_comparison_tells_regret_against_best_and_costs_nothing_the_second_time() {
    let Some(plugin) = c("examples/policies/small_direct.c", &[]) else { return };
    let study = Study::new(&json!({}));
    study.write("tuner.so", &plugin);
    study.write("lines", b"all_reduce = ring");
    let command = "--json policy compare recipe.json --policies topology,./tuner.so,fixed=lines,best";
    let compared = study.run(command);
    assert!(compared.status.success(), "{}", String::from_utf8_lossy(&compared.stderr));
    let compared: Value = serde_json::from_slice(&compared.stdout).unwrap();
    let points = compared["points"].as_array().unwrap();
    assert_eq!(points.len(), 4);
    for point in points {
        let policies = point["policies"].as_array().unwrap();
        let names: Vec<&str> = policies.iter().map(|p| p["policy"].as_str().unwrap()).collect();
        assert_eq!(names, ["topology", "./tuner.so", "fixed=lines", "best"]);
        assert_eq!(policies[3]["regret"], 0.0);
        assert_eq!(policies[3]["predicted_ns"], policies[3]["finish_ns"].as_f64().unwrap());
        assert_eq!(policies[2]["decisions"][0]["simulated"], json!(["ring"]));
        for policy in policies {
            let [finish, best] = [policy, &policies[3]].map(|p| p["finish_ns"].as_f64().unwrap());
            assert_eq!(policy["regret"].as_f64().unwrap(), finish / best - 1.0);
            assert!(finish >= best);
        }
    }
    assert_eq!(
        compared["regret"][3],
        json!({ "policy": "best", "regret": { "points": 4, "median": 0.0, "max": 0.0 } })
    );

    let again = study.run(command.strip_prefix("--json ").unwrap());
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(said.contains("4 points, 0 simulated now"), "{said}");
    let text = String::from_utf8(again.stdout).unwrap();
    assert!(text.lines().next().unwrap().starts_with("point"), "{text}");
    assert!(text.lines().last().unwrap().starts_with("best "), "{text}");
    // The recipe's own builds are not touched.
    assert!(!study.run("show study").status.success());
    assert!(study.run("show study.under-best").status.success());
}

#[test]
fn a_comparison_warns_where_direct_looks_free_and_refuses_a_swept_policy() {
    let study = Study::new(&json!({}));
    let recipe = |engine: &str, sweep: Value| {
        json!({
            "recipe": 1,
            "name": "study",
            "hw": "hardware.yaml",
            "workload": { "kind": "collective", "collective": "all_reduce", "ranks": 8, "size": "1 MiB" },
            "engine": { "network": engine },
            "sweep": sweep,
        })
        .to_string()
    };
    let warns = |engine: &str| {
        study.write("recipe.json", recipe(engine, json!({})).as_bytes());
        let compared = study.run("policy compare recipe.json --policies topology,best");
        assert!(compared.status.success());
        String::from_utf8(compared.stderr).unwrap().contains("looks faster than it is")
    };
    assert!(warns("congestion_unaware"));
    assert!(!warns("congestion_aware"));
    let swept = json!({ "cases": [{ "name": "a", "policy.plugin": "best" }] });
    study.write("recipe.json", recipe("congestion_aware", swept).as_bytes());
    let refused = study.run("policy compare recipe.json --policies topology,best");
    assert_eq!(refused.status.code(), Some(3));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("the recipe sweeps its policy"));
}

#[test]
fn a_point_that_fails_under_one_policy_is_told_and_the_others_are_compared() {
    let study = Study::new(&json!({}));
    study.write("lines", b"all_reduce = mesh");
    let compared = study.run("policy compare recipe.json --policies topology,fixed=lines");
    let said = String::from_utf8(compared.stderr).unwrap();
    assert!(compared.status.success(), "{said}");
    assert!(said.contains("under fixed=lines: "), "{said}");
    let text = String::from_utf8(compared.stdout).unwrap();
    assert!(text.contains("failed") && text.lines().last().unwrap().starts_with("topology"), "{text}");
}

#[test]
fn one_policy_is_compared_under_several_configurations_each_with_a_build_of_its_own() {
    let study = Study::new(&json!({}));
    let directory = "configurations/".repeat(12);
    std::fs::create_dir_all(study.path().join(&directory)).unwrap();
    let (one, other) = (format!("{directory}one"), format!("{directory}other"));
    study.write(&one, b"all_reduce = ring");
    study.write(&other, b"all_reduce = direct");
    let policies = [format!("fixed={one}"), format!("fixed={other}")];
    let compared = study.run(&format!("--json policy compare recipe.json --policies {}", policies.join(",")));
    assert!(compared.status.success(), "{}", String::from_utf8_lossy(&compared.stderr));
    let compared: Value = serde_json::from_slice(&compared.stdout).unwrap();
    let of_first = compared["points"][0]["policies"].as_array().unwrap();
    let simulated = |i: usize| &of_first[i]["decisions"][0]["simulated"][0];
    assert_eq!((simulated(0), simulated(1)), (&json!("ring"), &json!("direct")));
    assert_eq!(of_first[1]["policy"], policies[1]);
    // However long a path is, what is built under it has a name.
    let listed: Value = serde_json::from_slice(&study.run("--json ls").stdout).unwrap();
    let listed = listed.to_string();
    assert_eq!(listed.matches("study.under-").count(), 2, "{listed}");
}

#[test]
fn a_list_of_policies_that_is_not_clear_is_refused_before_anything_is_built() {
    let study = Study::new(&json!({}));
    for (policies, why) in [
        ("topology,,best", "--policies: `` names no policy"),
        ("=lines", "--policies: `=lines` names no policy"),
        ("best,topology,best", "--policies: `best` is there twice"),
    ] {
        let refused = study.run(&format!("policy compare recipe.json --policies {policies}"));
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains(why), "{said}");
    }
    assert!(!study.path().join("store").exists());
}
