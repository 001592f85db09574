//! What a scan and a rollout may cost: the figures that are the same on every machine, held to their limits.
//! docs/benchmarks.md says what each is, `make bench` prints all of them.

use fleet_sim::measure::{self, Measured, Way};

type Checked = Result<(), measure::MeasureError>;

#[expect(clippy::print_stdout, reason = "shown by a failing test, and with --nocapture")]
fn show(what: &str, measured: &Measured) {
    println!("{what}: {} calls, {:.2} each, {}", measured.all_calls(), measured.calls_each(), measured.took);
    for (operation, count) in &measured.calls {
        println!("  {count:>6} {operation}");
    }
    for (name, share) in &measured.buckets {
        println!("  {:>5.1} % of bucket {name}", share * 100.0);
    }
    if let Some(lives) = &measured.lives {
        println!(
            "  {:.3} of the bound {} ({:.3} of {}): stage {}, drain {}, shutdown {}, boot {}, agent {}",
            measured.makespan_ratio().unwrap_or_default(),
            lives.bound(measured.size),
            measured.strict_makespan_ratio().unwrap_or_default(),
            lives.strict_bound(measured.size),
            lives.stage,
            lives.drain,
            lives.shutdown,
            lives.boot,
            lives.agent,
        );
        let median = |part: &[jiff::SignedDuration]| part.get(part.len() / 2).copied().unwrap_or_default();
        let [drained, claimed, agent] = lives.parts.each_ref().map(|part| median(part));
        println!("  of it until the reboot is claimed {drained}, accepted {claimed}, after the agent {agent}");
        println!("  extra out of service: median {}, P99 {}", lives.extra_at(50), lives.extra_at(99));
    }
    println!("  page of {} bytes, made in {:?}", measured.page.bytes, measured.page.made_in);
    println!("  {} throttled, plan {:?}, CPU {:?}", measured.throttled, measured.plan, measured.cpu);
}

/// The most calls of a scan of a thousand current instances.
fn most_scan_calls(way: Way) -> u64 {
    match way {
        Way::Ssm => 120,
        Way::Bridge => 40,
    }
}

#[test]
fn a_scan_of_a_thousand() -> Checked {
    for way in Way::ALL {
        let scan = measure::scan(1_000, way)?;
        show(&format!("scan by {}", way.key()), &scan);
        assert!(scan.all_calls() <= most_scan_calls(way));
        assert_eq!(scan.throttled, 0);
    }
    Ok(())
}

/// The most that a rollout may take.
struct Most {
    calls_each: f64,
    makespan_ratio: f64,
    extra_median_s: i64,
    extra_p99_s: i64,
    /// The share of any token bucket, with what the hosts' own agents take.
    bucket_share: f64,
    /// The report as a page for a browser.
    page_bytes: usize,
}

/// A little above what was measured last: a regression shows. docs/benchmarks.md has what must be reached.
fn most(way: Way) -> Most {
    match way {
        Way::Ssm => Most {
            calls_each: 5.8,
            makespan_ratio: 1.14,
            extra_median_s: 14,
            extra_p99_s: 24,
            bucket_share: 0.5,
            page_bytes: 700_000,
        },
        Way::Bridge => Most {
            calls_each: 5.9,
            makespan_ratio: 1.1,
            extra_median_s: 10,
            extra_p99_s: 16,
            bucket_share: 0.5,
            page_bytes: 1_000_000,
        },
    }
}

#[test]
fn a_rollout_of_a_thousand_by_ssm() -> Checked {
    a_rollout(1_000, Way::Ssm)
}

#[test]
fn a_rollout_of_a_thousand_by_bridge() -> Checked {
    a_rollout(1_000, Way::Bridge)
}

fn a_rollout(size: usize, way: Way) -> Checked {
    let rollout = measure::rollout(size, way)?;
    show(&format!("rollout of {size} by {}", way.key()), &rollout);
    let most = most(way);
    assert!(rollout.calls_each() <= most.calls_each);
    assert!(rollout.makespan_ratio().is_some_and(|ratio| ratio <= most.makespan_ratio));
    let extra = |percent| rollout.lives.as_ref().map(|lives| lives.extra_at(percent).as_secs());
    assert!(extra(50) <= Some(most.extra_median_s));
    assert!(extra(99) <= Some(most.extra_p99_s));
    for (bucket, share) in &rollout.buckets {
        assert!(*share <= most.bucket_share, "{bucket}: {share}");
    }
    assert_eq!(rollout.throttled, 0);
    assert!(rollout.page.bytes <= most.page_bytes, "{}", rollout.page.bytes);
    Ok(())
}

/// The most that three instances may cost, one at a time: calls, and time over the bound.
fn most_one_at_a_time(way: Way) -> (u64, f64) {
    match way {
        Way::Ssm => (140, 1.1),
        Way::Bridge => (230, 1.1),
    }
}

#[test]
fn three_instances_one_at_a_time() -> Checked {
    for way in Way::ALL {
        let rollout = measure::one_at_a_time(way)?;
        show(&format!("three by {}, one at a time", way.key()), &rollout);
        let (calls, ratio) = most_one_at_a_time(way);
        assert!(rollout.all_calls() <= calls, "{} calls", rollout.all_calls());
        assert!(rollout.makespan_ratio().is_some_and(|took| took <= ratio), "{:?}", rollout.makespan_ratio());
    }
    Ok(())
}

/// A run takes no more of any bucket than it is told, and comes to its end all the same.
#[test]
fn a_rollout_with_a_tenth_of_the_buckets() -> Checked {
    let usual = measure::rollout(300, Way::Ssm)?;
    let tenth = measure::rollout_with_share(300, Way::Ssm, "0.1")?;
    show("rollout of 300 with api_share = 0.1", &tenth);
    for (bucket, used) in &tenth.buckets {
        assert!(*used <= 0.11, "{bucket}: {used}");
    }
    assert!(usual.fullest_bucket().1 > 0.11, "half of them is used otherwise: {:?}", usual.fullest_bucket());
    assert_eq!(tenth.throttled, 0);
    Ok(())
}

/// The most that a canary, two checkpoints and three bakes may add: of the plain bound, the canary's own and the bakes.
fn most_with_stages(way: Way) -> f64 {
    match way {
        Way::Ssm => 1.15,
        Way::Bridge => 1.12,
    }
}

/// The most calls an update. By the bridge each look at the tasks is the caller's own, and a bake is watched by looks too.
fn most_calls_with_stages(way: Way) -> f64 {
    match way {
        Way::Ssm => 6.0,
        Way::Bridge => 7.0,
    }
}

#[test]
fn a_rollout_of_a_thousand_in_stages_by_ssm() -> Checked {
    a_rollout_in_stages(1_000, Way::Ssm)
}

#[test]
#[ignore = "five minutes and more of a processor's time: make test-full"]
fn a_rollout_of_a_thousand_in_stages_by_bridge() -> Checked {
    a_rollout_in_stages(1_000, Way::Bridge)
}

fn a_rollout_in_stages(size: usize, way: Way) -> Checked {
    let rollout = measure::staged_rollout(size, way)?;
    show(&format!("rollout of {size} in stages by {}", way.key()), &rollout);
    let ratio = rollout.staged_ratio().unwrap_or(f64::MAX);
    assert!(ratio <= most_with_stages(way), "{ratio:.3} of the bound with its stages");
    assert!(rollout.calls_each() <= most_calls_with_stages(way), "{:.2} calls each", rollout.calls_each());
    assert_eq!(rollout.throttled, 0);
    Ok(())
}
