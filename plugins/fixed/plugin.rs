//! The policy `fixed` as a plugin: `cargo build -p astra-policy-fixed --example fixed`.

astra_policy::export_policy!(astra_policy_fixed::Fixed);
