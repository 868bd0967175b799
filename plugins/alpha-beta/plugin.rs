//! The policy `alpha-beta` as a plugin: `cargo build -p astra-policy-alpha-beta --example alpha-beta`.

astra_policy::export_policy!(astra_policy_alpha_beta::AlphaBeta);
