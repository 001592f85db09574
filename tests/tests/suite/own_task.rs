//! Without a lease table a run looks for other tasks of its family: the metadata endpoint on a real socket, ECS in
//! process.

use std::sync::Arc;

use aws_config::BehaviorVersion;
use ecs_updater::aws::{self, Aws};
use ecs_updater::own_task::{OwnTask, OwnTaskError};
use fleet_sim::{Region, Scenario};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// The updater runs in a cluster of its own, beside other things.
const TWO: &str = r#"
clusters = ["web", "tools"]

[[instances]]
cluster = "web"

[[instances]]
cluster = "tools"

[[task]]
family = "nightly-updates"
host = 1
count = 2

[[task]]
family = "backup"
host = 1

[[task]]
family = "nightly-updates"
host = 0
"#;

struct Tasks {
    region: Arc<Region>,
    aws: Aws,
    /// Of the family, in the updater's cluster.
    family: Vec<String>,
}

async fn tasks(scenario: &str) -> Tasks {
    let region = Region::start(&Scenario::parse(scenario).unwrap()).unwrap();
    let config = aws::settings(aws_config::defaults(BehaviorVersion::latest()))
        .http_client(region.http_client())
        .region("eu-west-1")
        .test_credentials()
        .load()
        .await;
    let family = region.look(|world| {
        let tools = world.cluster("tools");
        let own = world.tasks().iter().filter(|task| task.family == "nightly-updates" && Some(task.cluster) == tools);
        own.map(|task| task.arn.clone()).collect()
    });
    Tasks { region, aws: Aws::reading_in(&config, Some("eu-central-1")), family }
}

/// The task as its metadata endpoint tells it of itself, once.
async fn told_by_its_endpoint(arn: &str, cluster: &str) -> OwnTask {
    let body = serde_json::json!({ "Cluster": cluster, "TaskARN": arn, "Family": "nightly-updates", "Revision": "7" });
    let body = body.to_string();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v4/0123456789abcdef", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 4096];
        assert!(stream.read(&mut asked).await.unwrap() > 0);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    });
    let own = OwnTask::ask(&base).await.unwrap();
    served.await.unwrap();
    own
}

#[tokio::test]
async fn another_task_of_the_family_is_found() {
    let Tasks { region, aws, family } = tasks(TWO).await;
    assert_eq!(family.len(), 2);
    for cluster in ["tools", "arn:aws:ecs:eu-central-1:123456789012:cluster/tools"] {
        let own = told_by_its_endpoint(&family[0], cluster).await;
        let others = own.others(&aws).await.unwrap();
        assert_eq!(others.iter().map(|arn| arn.as_str()).collect::<Vec<_>>(), [family[1].as_str()]);
    }
    assert_eq!(region.unknown(), Vec::<String>::new());
}

#[tokio::test]
async fn a_task_alone_finds_nobody() {
    let alone = TWO.replace("count = 2", "count = 1");
    let Tasks { aws, family, .. } = tasks(&alone).await;
    let own = told_by_its_endpoint(&family[0], "tools").await;
    assert_eq!(own.others(&aws).await.unwrap(), []);
}

#[tokio::test]
async fn without_permission_it_is_not_known() {
    let denied = format!("{TWO}\n[region]\ndeny = [\"ecs:ListTasks\"]");
    let Tasks { aws, family, .. } = tasks(&denied).await;
    let own = told_by_its_endpoint(&family[0], "tools").await;
    let error = own.others(&aws).await.unwrap_err();
    assert!(matches!(&error, OwnTaskError::List { .. }), "{error}");
    assert_eq!(error.to_string(), "the tasks of family nightly-updates in cluster tools could not be listed");
}
