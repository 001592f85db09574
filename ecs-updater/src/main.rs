//! `ecs-updater`, the command.

fn main() -> std::process::ExitCode {
    ecs_updater::cli::main().into()
}
