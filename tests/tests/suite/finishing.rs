//! What a run says when a person asks it to finish.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use fleet_sim::Scenario;
use fleet_sim::clock::paused;
use fleet_sim::rollout::Rollout;

#[test]
fn a_run_says_what_it_finishes() {
    for (name, words) in [
        ("sigint_with_one_under_way", "finishing 1 instance; press again to stop now"),
        ("sigint_with_nothing_under_way", "nothing more is begun, and nothing is under way"),
        ("sigint_in_an_outage", "interrupted: nothing new is begun"),
    ] {
        let said = said(name);
        assert!(said.contains(words), "{name}: {said}");
    }
}

/// The log of the first run of a scenario.
fn said(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("scenarios/{name}.toml"));
    let scenario = Scenario::load(path).unwrap();
    let runtime = paused().unwrap();
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, || {
        runtime.block_on(async {
            let mut rollout = Rollout::start(&scenario).await.unwrap();
            let spec = rollout.expect.runs().remove(0);
            rollout.run(&spec, &()).await;
        });
    });
    let written = log.0.lock().unwrap().clone();
    String::from_utf8(written).unwrap()
}

#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
