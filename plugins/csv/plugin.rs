//! The policy `csv` as a plugin: `cargo build -p astra-policy-csv --example csv`.

astra_policy::export_policy!(astra_policy_csv::Csv);
