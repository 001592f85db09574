//! The configurations of docs/rollouts.md: each updates a whole cluster on the simulator, and breaks no rule.

use std::path::Path;
use std::time::Duration;

use fleet_sim::Scenario;
use fleet_sim::clock::paused;
use fleet_sim::expect::RunSpec;
use fleet_sim::rollout::Rollout;
use models::report::Outcome;
use toml::{Table, Value};

const CLUSTER: &str = r#"
seed = 1950
clusters = ["web"]

[repository]
releases = [{ version = "1.27.0", image = { created_at = "2026-11-01T12:00:00Z" } }, { version = "1.26.1" }]

[[instances]]
count = 12
zones = ["a", "b", "c"]
version = "1.26.1"

[[host]]
index = 0
tags = { stage = "canary" }

[[host]]
index = 1
attributes = { pool = "workers" }

[[host]]
index = 4
tags = { stage = "canary" }

[[service]]
name = "web"
desired = 12
cpu = 256
memory = "512 MiB"

[alarms]
web-5xx = {}
web-latency = { composite = true }
"#;

/// More runs than any of them may need, one an hour.
const MOST_RUNS: usize = 24 * 5;

/// The configurations of the page, in its order.
fn recipes() -> Vec<Table> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/rollouts.md");
    let page = std::fs::read_to_string(path).unwrap();
    let blocks = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.map(|block| block.parse().unwrap()).collect()
}

/// Returns how many runs it took until every instance had the release.
fn runs_of(recipe: &Table) -> usize {
    let mut text: Table = CLUSTER.parse().unwrap();
    text.insert("updater".to_owned(), Value::Table(recipe.clone()));
    let scenario = Scenario::parse(&text.to_string()).unwrap();
    let runtime = paused().unwrap();
    runtime.block_on(async {
        let mut rollout = Rollout::start(&scenario).await.unwrap();
        for run in 1..=MOST_RUNS {
            let report = rollout.run(&RunSpec::default(), &()).await.report.unwrap();
            assert_eq!(rollout.violations(&report), []);
            let instances = report.clusters.iter().flat_map(|cluster| &cluster.instances);
            if instances.clone().all(|one| matches!(one.outcome, Outcome::Updated | Outcome::Current)) {
                return run;
            }
            assert!(instances.clone().all(|one| !one.outcome.is_failure()));
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
        panic!("not updated after {MOST_RUNS} runs");
    })
}

#[test]
fn each_recipe_updates_the_cluster() {
    let recipes = recipes();
    assert_eq!(recipes.len(), 6);
    let mut runs: Vec<usize> = recipes.iter().map(runs_of).collect();
    // One pool after the other: no step between careful and fast.
    assert_eq!(runs.pop(), Some(1));
    assert!(runs.is_sorted_by(|careful, fast| careful >= fast), "from careful to fast: {runs:?}");
    assert!(runs[0] > 24 && runs[1] > 1 && runs[2] == 1, "{runs:?}");
}
