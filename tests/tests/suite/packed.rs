//! Packed clusters with capacity providers: one run converges with `capacity = "scale-out"`, and no service ever runs fewer tasks
//! than it desires. The figures are the same on every machine; docs/benchmarks.md has them.

use fleet_sim::measure::Way;
use fleet_sim::measure::packed::{Figures, Packed, packed};

const PACKED: Packed = Packed {
    way: Way::Ssm,
    target: 100,
    by_zone: false,
    spot: false,
    protects: true,
    defaults: "capacity = \"scale-out\"",
};

fn converges(kind: Packed) -> Figures {
    let figures = packed(kind).unwrap();
    println!("{kind:?}\n  {figures:?}");
    let gone: usize = ["gone", "scaled_in"].iter().filter_map(|name| figures.by_outcome.get(name)).sum();
    assert_eq!(figures.updated + gone, 100, "all of them, but those that their groups ended");
    let unfinished = ["held", "failed", "rolled_back", "in_progress"];
    assert!(unfinished.iter().all(|name| !figures.by_outcome.contains_key(name)), "{:?}", figures.by_outcome);
    assert_eq!(figures.lowest_percent, 100, "{:?}", figures.below);
    figures
}

#[test]
fn a_hundred_in_three_providers() {
    for way in Way::ALL {
        let figures = converges(Packed { way, ..PACKED });
        assert!(figures.launched > 0);
    }
}

#[test]
fn with_a_target_of_90() {
    converges(Packed { target: 90, ..PACKED });
}

#[test]
fn with_a_provider_for_each_zone() {
    converges(Packed { by_zone: true, ..PACKED });
}

#[test]
fn on_spot_without_protection() {
    converges(Packed { spot: true, protects: false, ..PACKED });
}

/// Without it nothing can be begun, and that is said.
#[test]
fn room_alone_holds_them() {
    let figures = packed(Packed { defaults: "", ..PACKED }).unwrap();
    assert_eq!((figures.by_outcome.get("held"), figures.launched), (Some(&100), 0));
}
