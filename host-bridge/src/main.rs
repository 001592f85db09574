//! The command `host-bridge`; everything is in [`host_bridge::cli`].

fn main() -> std::process::ExitCode {
    host_bridge::cli::main()
}
