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
    assert_eq!(figures.updated, 100, "what is ended was launched, and is empty");
    let unfinished = ["held", "failed", "rolled_back", "in_progress"];
    assert!(unfinished.iter().all(|name| !figures.by_outcome.contains_key(name)), "{:?}", figures.by_outcome);
    assert_eq!(figures.lowest_percent, 100, "{:?}", figures.below);
    figures
}

#[test]
fn a_hundred_in_three_providers() {
    for way in Way::ALL {
        let figures = converges(Packed { way, ..PACKED });
        let (launched, ended, minutes) = match way {
            Way::Ssm => (32, 15, 52),
            Way::Bridge => (32, 18, 51),
        };
        assert_eq!((figures.launched, figures.ended, figures.took.as_mins()), (launched, ended, minutes), "{way:?}");
    }
}

#[test]
fn with_a_target_of_90() {
    let figures = converges(Packed { target: 90, ..PACKED });
    assert_eq!((figures.launched, figures.ended, figures.took.as_mins()), (36, 2, 28));
}

#[test]
fn with_a_provider_for_each_zone() {
    let figures = converges(Packed { by_zone: true, ..PACKED });
    assert_eq!((figures.launched, figures.ended, figures.took.as_mins()), (17, 0, 42));
}

#[test]
fn on_spot_without_protection() {
    let figures = converges(Packed { spot: true, protects: false, ..PACKED });
    assert_eq!((figures.launched, figures.ended, figures.took.as_mins()), (32, 15, 52));
}

/// Without it nothing can be begun, and that is said.
#[test]
fn room_alone_holds_them() {
    let figures = packed(Packed { defaults: "", ..PACKED }).unwrap();
    assert_eq!((figures.by_outcome.get("held"), figures.launched), (Some(&100), 0));
}
