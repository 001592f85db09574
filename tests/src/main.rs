//! The simulator's program. See `fleet-sim --help`.

fn main() -> std::process::ExitCode {
    fleet_sim::cli::main()
}
