//! What tests of the real commands share.

use std::path::PathBuf;
use std::process::Command;

/// A command beside this test's own binaries; built where nobody has built it yet, with the features that tests have: with
/// others all would be built once more.
pub(crate) fn program(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_fleet-sim")).with_file_name(name);
    // The tests of the whole workspace build it; those of this package alone do not.
    let build = ["build", "--quiet", "--locked", "--workspace", "--bins", "--features", "ecs-updater/broken"];
    let status = Command::new(env!("CARGO")).args(build).status().unwrap();
    assert!(status.success() && path.exists(), "{} is not there", path.display());
    path
}
