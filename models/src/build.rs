//! What was built, and from which sources.

/// The version of all three programs and the commit that they were built from, such as `0.1.0 (1a2b3c4d5e6f 2026-11-30)`.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("ECS_UPDATER_BUILT_FROM"), ")");

/// Where the documents are: what `ECS_UPDATER_DOCS` said at the build, without a slash at its end, such as
/// `https://example.com/ecs-updater/docs`; else the directory `docs` of the sources.
pub const DOCS: &str = env!("ECS_UPDATER_DOCS_AT");
