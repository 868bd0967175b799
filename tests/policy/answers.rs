//! Plugins that behave, in C and in Rust, in a helper process and in this one.

use astra_policy::{Algorithm, Collective, Request};
use astra_store::policy::{Isolation, Limits, Ruling, SHIPPED, Session, Source, sample_questions};

use crate::plugins::{c, open, rust, shipped};

fn algorithms(ruling: &Ruling) -> &[Algorithm] {
    match ruling {
        Ruling::Decided(decided) => &decided.algorithms,
        Ruling::NoOpinion => panic!("no opinion"),
    }
}

fn of_bytes(payload_bytes: u64) -> Request {
    Request { payload_bytes, ..sample_questions().swap_remove(0) }
}

#[test]
fn a_policy_in_c_reads_its_configuration_and_decides_by_size() {
    let Some(plugin) = c("examples/policies/small_direct.c", &[]) else { return };
    // As editors write it to a file.
    let mut session = open("small_direct.so", &plugin, "65536\n").unwrap();
    let about = session.about();
    assert_eq!((about.name.as_str(), about.version.as_str()), ("small-direct", "1"));
    let rulings = session.ask(&[of_bytes(65_536), of_bytes(65_537)]).unwrap();
    assert_eq!(algorithms(&rulings[0]), [Algorithm::Direct]);
    assert_eq!(algorithms(&rulings[1]), [Algorithm::Ring]);
    let Ruling::Decided(decided) = &rulings[0] else { panic!("no opinion") };
    assert_eq!(decided.reason, "small: few messages in a row");
    assert_eq!(decided.predicted_ns, None);

    let error = open("small_direct.so", &plugin, "64k").unwrap_err();
    assert!(error.to_string().starts_with("small_direct.so: the configuration is one number"), "{error}");
}

#[test]
fn a_policy_in_rust_outside_the_workspace_decides_by_its_costs() {
    let mut session = open("by-size", &rust("examples/policies/by-size"), "").unwrap();
    let rulings = session.ask(&[of_bytes(1), of_bytes(1 << 33)]).unwrap();
    assert_eq!(algorithms(&rulings[0]), [Algorithm::Direct]);
    assert_eq!(algorithms(&rulings[1]), [Algorithm::Ring]);
}

/// A configuration for each policy that ships.
const CONFIGURED: [(&str, &str); 4] = [
    ("topology", ""),
    ("fixed", "all_reduce = direct, halvingDoubling\n* = ring"),
    ("csv", "allreduce,0,4096,direct\nallgather,0,8589934592,ring\nalltoall,0,1,halvingDoubling"),
    ("alpha-beta", ""),
];

#[test]
fn a_shipped_policy_answers_the_same_linked_in_and_loaded() {
    assert!(SHIPPED.iter().map(|shipped| shipped.name).eq(CONFIGURED.map(|(name, _)| name)));
    let mut refusing = 0;
    for (policy, (name, config)) in SHIPPED.into_iter().zip(CONFIGURED) {
        let bytes = shipped(&format!("astra-policy-{name}"), name);
        let loaded = Source::Library { name: name.to_owned(), bytes };
        let helper = Isolation::Helper(crate::plugins::PROGRAM.into());
        let linked = Source::Shipped(policy);
        assert_ne!(loaded.identity(), linked.identity());
        let open = |source, isolation| Session::open(source, config, isolation, Limits::default()).unwrap();
        let mut sessions =
            [open(linked, helper.clone()), open(loaded.clone(), helper), open(loaded, Isolation::InProcess)];
        assert!(sessions.iter().all(|session| session.about().version == policy.version));
        let (mut decided, mut refused) = (0, 0);
        for request in sample_questions() {
            let [linked, loaded, in_process] =
                sessions.each_mut().map(|s| s.ask(std::slice::from_ref(&request)));
            match linked {
                Ok(rulings) => {
                    decided += 1;
                    assert_eq!(loaded.unwrap(), rulings);
                    assert_eq!(in_process.unwrap(), rulings);
                }
                Err(error) => {
                    refused += 1;
                    assert_eq!(loaded.unwrap_err().to_string(), error.to_string());
                    assert_eq!(in_process.unwrap_err().to_string(), error.to_string());
                }
            }
        }
        assert!(decided > 300, "{name}: {decided} decided, {refused} refused");
        refusing += usize::from(refused > 0);
    }
    assert!(refusing > 1, "refusals were not compared");
}

#[test]
fn a_question_about_a_large_group_arrives() {
    let Some(plugin) = c("examples/policies/small_direct.c", &[]) else { return };
    let mut session = open("small_direct.so", &plugin, "").unwrap();
    let group: Vec<u32> = (0..1 << 18).collect();
    let large = Request { ranks: 1 << 18, group: Some(group), ..of_bytes(64) };
    assert_eq!(session.ask(&vec![large; 8]).unwrap().len(), 8);
}

#[test]
fn one_process_answers_all_questions_in_their_order() {
    let Some(plugin) = c("examples/policies/small_direct.c", &[]) else { return };
    let mut session = open("small_direct.so", &plugin, "1000").unwrap();
    let requests: Vec<Request> = (0..5000).map(|i| of_bytes((i * 7919) % 2000)).collect();
    for (request, ruling) in requests.iter().zip(session.ask(&requests).unwrap()) {
        let expected = if request.payload_bytes <= 1000 { Algorithm::Direct } else { Algorithm::Ring };
        assert_eq!(algorithms(&ruling), [expected]);
    }
}

#[test]
fn what_is_loaded_is_what_was_read_even_if_the_file_is_gone() {
    let Some(plugin) = c("examples/policies/small_direct.c", &[]) else { return };
    let bytes: artifact_store::SharedBytes = plugin;
    let mut session = open("there/is/no/such/file.so", &bytes, "").unwrap();
    session.restart();
    assert_eq!(session.ask(&[of_bytes(1)]).unwrap().len(), 1);
}

#[test]
fn a_policy_without_an_opinion_leaves_it_to_the_host() {
    let Some(plugin) = c("tests/policy/mischief.c", &[]) else { return };
    let request = Request { collective: Collective::AllReduce, ..of_bytes(1) };
    let rulings = open("mischief", &plugin, "no opinion").unwrap().ask(&[request]).unwrap();
    assert_eq!(rulings, [Ruling::NoOpinion]);
}
