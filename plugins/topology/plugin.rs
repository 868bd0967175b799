//! The policy `topology` as a plugin: `cargo build -p astra-policy-topology --example topology`.

astra_policy::export_policy!(astra_policy_topology::ByTopology);
