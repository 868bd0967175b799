//! The `astra-store` command.

fn main() -> std::process::ExitCode {
    astra_store::cli::main()
}
