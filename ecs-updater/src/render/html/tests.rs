use models::report::{ClusterError, ClusterErrorKind};
use serde_json::json;

use super::*;

fn report(instances: usize, word: &str) -> RunReport {
    let instance = |number: usize| {
        let outcome = match number % 4 {
            0 => "updated",
            1 => "held",
            2 => "failed",
            _ => "rolled_back",
        };
        json!({
            "container_instance": "arn:aws:ecs:eu-central-1:123456789012:container-instance/web/1",
            "ec2_instance_id": format!("i-{number:017x}{word}"), "zone": format!("eu-central-1a{word}"),
            "outcome": outcome, "reason": format!("code{word}"), "detail": format!("because{word}"),
            "from": format!("1.26.1-{}", "x"), "to": "1.27.0", "out_of_service_s": 95,
            "phases": [
                { "phase": "unseen", "began_at": "2026-11-23T03:00:00Z", "ended_at": "2026-11-23T03:01:00Z" },
                { "phase": "draining", "began_at": "2026-11-23T03:01:00Z", "ended_at": "2026-11-23T03:02:00Z" },
                { "phase": "rebooting", "began_at": "2026-11-23T03:02:00Z", "ended_at": null },
            ],
        })
    };
    let cluster = json!({
        "cluster": format!("web{word}"), "account": "123456789012", "region": "eu-central-1",
        "instances": (0..instances).map(instance).collect::<Vec<_>>(),
        "notes": [format!("note{word}")],
        "aws_calls": { format!("ecs:DescribeTasks{word}"): 2 }, "longest_out_of_service_s": 95,
        "timeline": {
            "out_of_service": [
                { "at": "2026-11-23T03:00:00Z", "out": 0, "budget": 2 },
                { "at": "2026-11-23T03:01:00Z", "out": 2, "budget": 2 },
            ],
            "services": { format!("api{word}"): [{ "at": "2026-11-23T03:00:00Z", "running": 3, "desired": 4 }] },
        },
    });
    let mut report: RunReport = serde_json::from_value(json!({
        "version": 1, "run": format!("01KAQ3{word}"), "dry_run": false,
        "started_at": "2026-11-23T03:00:00Z", "ended_at": "2026-11-23T03:10:00Z", "interrupted": false,
        "clusters": [cluster],
    }))
    .unwrap();
    report.clusters[0].error =
        Some(ClusterError { kind: ClusterErrorKind::NotPermitted, message: format!("not permitted{word}") });
    report
}

#[test]
fn words_from_outside_are_text_and_nothing_else() {
    let page = render(&report(8, "<script>alert('x')</script>\" onload=\"x&\u{1b}[2J\u{202e}"));
    assert!(!page.contains("<script"), "{page}");
    assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot; onload=&quot;x&amp;"), "{page}");
    assert!(!page.contains("\" onload=\"x"), "{page}");
    assert!(!page.chars().any(|char| (char.is_control() && char != '\n') || char == '\u{202e}'));
    // Each place that can hold somebody else's words: title, run, name, place, reason, detail, note, service, call, error.
    for place in
        ["01KAQ3&lt;", "web&lt;", "eu-central-1a&lt;", "code&lt;", "because&lt;", "note&lt;", "api&lt;", "Tasks&lt;"]
    {
        assert!(page.contains(place), "{place}");
    }
    assert!(page.contains("not permitted&lt;"));
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let page = render(&report(3, ""));
    for word in ["http:", "https:", "url(", "@import", "<script", "<link", "<img", "src="] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn the_gravest_comes_first() {
    let page = render(&report(8, ""));
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} is missing"));
    let needs = at("What needs a look");
    assert!(needs < at("need failed") && at("need failed") < at("need rolled_back"));
    assert!(at("need rolled_back") < at("need held") && at("need held") < at("<h3>Out of service</h3>"));
    assert!(at("<h3>Out of service</h3>") < at("<h3>Instances</h3>"));
}

#[test]
fn a_phase_stands_where_its_time_is() {
    let page = render(&report(1, ""));
    assert!(page.contains("left:10.00%;width:10.00%\" title=\"draining 03:01:00 to 03:02:00, 1m\""), "{page}");
    assert!(page.contains("left:20.00%;width:80.00%\" title=\"rebooting 03:02:00 to 03:10:00, 8m\""), "{page}");
    assert!(!page.contains("p unseen"));
}

#[test]
fn a_thousand_instances_are_a_page_of_moderate_size() {
    let page = render(&report(1_000, ""));
    assert!(page.len() < 1_500_000, "{}", page.len());
    assert_eq!(page.matches("class=r>").count(), 1_001);
}
