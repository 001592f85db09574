//! Where a run has no lease: is another task of this program's family running? Said in the log, and no more than that.
//!
//! It keeps nobody apart: two tasks that start in the same moment each see both, and a run that is started from a
//! terminal is seen by none. The lease does (`keeper`).

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::header::HOST;
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use models::ids::{ClusterName, TaskArn};
use serde::Deserialize;
use tokio::net::TcpStream;

use crate::aws::{Aws, AwsError};

/// The environment variable that ECS puts into each container of a task: where the metadata of the container are; those
/// of its task are at `/task` below it (ECS developer guide, "Amazon ECS task metadata endpoint version 4").
pub const METADATA_VARIABLE: &str = "ECS_CONTAINER_METADATA_URI_V4";

/// The agent on the same machine answers from memory; whatever is slower is not worth waiting for.
const METADATA_PATIENCE: Duration = Duration::from_secs(5);
/// What a task of ten containers, the most there can be, says of itself is a tenth of this.
const MOST_METADATA: usize = 1 << 20;
/// With the SDK's retries a list can take two minutes. The advice is late by then.
const LIST_PATIENCE: Duration = Duration::from_secs(30);

/// The ECS task that this program runs in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OwnTask {
    /// Name or ARN of its cluster, which need not be one that is worked on.
    pub cluster: ClusterName,
    /// ARN of the task, which names its Region.
    #[serde(rename = "TaskARN")]
    pub task_arn: TaskArn,
    /// The family of its task definition.
    pub family: String,
}

/// Why a task does not know itself, or the others of its family.
#[derive(Debug, thiserror::Error)]
pub enum OwnTaskError {
    #[error("{METADATA_VARIABLE} is {given:?}, and not http:// with a host")]
    Url { given: String },
    #[error("the task metadata endpoint {uri} does not answer")]
    Silent { uri: Uri, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the task metadata endpoint {uri} answers with status {status}")]
    Status { uri: Uri, status: StatusCode },
    #[error("what the task metadata endpoint {uri} answers cannot be read")]
    Malformed { uri: Uri, source: serde_json::Error },
    #[error("the tasks of family {family} in cluster {cluster} could not be listed")]
    List { family: String, cluster: ClusterName, source: AwsError },
    #[error("the tasks of family {family} in cluster {cluster} were not listed within {} s", LIST_PATIENCE.as_secs())]
    Slow { family: String, cluster: ClusterName },
}

impl OwnTask {
    /// Asks the metadata endpoint at `base`, the value of [`METADATA_VARIABLE`].
    ///
    /// # Errors
    /// All but the two of a list.
    pub async fn ask(base: &str) -> Result<Self, OwnTaskError> {
        let bad = || OwnTaskError::Url { given: base.to_owned() };
        let uri: Uri = format!("{}/task", base.trim_end_matches('/')).parse().map_err(|_| bad())?;
        let (Some("http"), Some(authority)) = (uri.scheme_str(), uri.authority().cloned()) else { return Err(bad()) };
        let silent = |source| OwnTaskError::Silent { uri: uri.clone(), source };
        let answer = tokio::time::timeout(METADATA_PATIENCE, get(&uri, authority.as_str(), authority.port_u16()));
        let (status, body) = answer.await.map_err(|late| silent(late.into()))?.map_err(silent)?;
        if status != StatusCode::OK {
            return Err(OwnTaskError::Status { uri, status });
        }
        serde_json::from_slice(&body).map_err(|source| OwnTaskError::Malformed { uri, source })
    }

    /// The Region it runs in, which need not be that of the clusters that are worked on: the fourth part of its ARN.
    pub fn region(&self) -> Option<&str> {
        self.task_arn.as_str().split(':').nth(3).filter(|region| !region.is_empty())
    }

    /// Other tasks of its family that are to run, in its cluster.
    ///
    /// # Errors
    /// [`OwnTaskError::List`] and [`OwnTaskError::Slow`].
    pub async fn others(&self, aws: &Aws) -> Result<Vec<TaskArn>, OwnTaskError> {
        let (family, cluster) = (self.family.clone(), self.cluster.clone());
        match tokio::time::timeout(LIST_PATIENCE, aws.list_tasks_of_family(&self.cluster, &self.family)).await {
            Ok(Ok(arns)) => Ok(arns.into_iter().filter(|arn| *arn != self.task_arn).collect()),
            Ok(Err(source)) => Err(OwnTaskError::List { family, cluster, source }),
            Err(_) => Err(OwnTaskError::Slow { family, cluster }),
        }
    }
}

/// Looks for others, and says in the log what it found. `metadata` is the value of [`METADATA_VARIABLE`], which is not
/// there outside a task; `aws` makes the clients for a Region, or for the run's own.
///
/// It never fails: whatever is not known is said too, and the run goes on.
pub async fn look_for_others(metadata: Option<&str>, aws: impl FnOnce(Option<&str>) -> Aws) {
    let Some(base) = metadata else {
        tracing::info!("no lease table: nothing keeps two runs apart; make sure that nobody starts a second one");
        return;
    };
    match found(base, aws).await {
        Ok((own, others)) if others.is_empty() => {
            tracing::info!(family = own.family, cluster = %own.cluster, "no lease table, and no other task of the family runs");
        }
        Ok((own, others)) => {
            for task in others {
                tracing::warn!(
                    task = %task,
                    family = own.family,
                    cluster = %own.cluster,
                    "another task of the family runs, and without a lease table nothing keeps the two apart: stop one of \
                     them, unless they work on different clusters, and set lease_table"
                );
            }
        }
        Err(error) => {
            let error = told(&error);
            tracing::warn!(
                error,
                "no lease table, and it is not known whether another task of the family runs: set lease_table, or give the \
                 task role ecs:ListTasks"
            );
        }
    }
}

async fn found(base: &str, aws: impl FnOnce(Option<&str>) -> Aws) -> Result<(OwnTask, Vec<TaskArn>), OwnTaskError> {
    let own = OwnTask::ask(base).await?;
    let others = own.others(&aws(own.region())).await?;
    Ok((own, others))
}

/// The error with its causes, in a line.
fn told(error: &OwnTaskError) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// One GET on a connection of its own.
async fn get(
    uri: &Uri,
    authority: &str,
    port: Option<u16>,
) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let address = if port.is_some() { authority.to_owned() } else { format!("{authority}:80") };
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::get(path).header(HOST, authority).body(Empty::<Bytes>::new())?;
    let answer = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, MOST_METADATA).collect().await?.to_bytes();
        Ok((head.status, body))
    };
    match select(pin!(answer), pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        // What it has brought until its end can still be taken.
        Either::Right((ended, answer)) => {
            ended?;
            answer.await
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// As in the ECS developer guide, "Amazon ECS task metadata v4 examples", shortened.
    const METADATA: &str = r#"{
        "Cluster": "arn:aws:ecs:us-west-2:111122223333:cluster/default",
        "TaskARN": "arn:aws:ecs:us-west-2:111122223333:task/default/158d1c8083dd49d6b527399fd6414f5c",
        "Family": "curltest",
        "ServiceName": "MyService",
        "Revision": "26",
        "DesiredStatus": "RUNNING",
        "KnownStatus": "RUNNING",
        "Containers": [{ "DockerId": "598cba581fe3f939459eaba1e071d5c93bb2c49b7d1ba7db6bb19deeb70d8e38", "Name": "~internal~ecs~pause" }]
    }"#;

    /// Answers one request with this, and gives what was asked.
    async fn serve(answer: String) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/v4/0206b271-b33f-47ab-86c6-a0ba208a70a9", listener.local_addr().unwrap());
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let read = stream.read(&mut asked).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&asked[..read]).into_owned()
        });
        (base, asked)
    }

    fn answer(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    #[tokio::test]
    async fn a_task_learns_its_family_and_cluster() {
        let (base, asked) = serve(answer("200 OK", METADATA)).await;
        let own = OwnTask::ask(&base).await.unwrap();
        assert_eq!(own.family, "curltest");
        assert_eq!(own.cluster.as_str(), "arn:aws:ecs:us-west-2:111122223333:cluster/default");
        assert_eq!(own.task_arn.short(), "158d1c8083dd49d6b527399fd6414f5c");
        assert_eq!(own.region(), Some("us-west-2"));
        let asked = asked.await.unwrap();
        assert!(asked.starts_with("GET /v4/0206b271-b33f-47ab-86c6-a0ba208a70a9/task HTTP/1.1\r\n"), "{asked}");
    }

    #[tokio::test]
    async fn what_goes_wrong_is_told_with_its_cause() {
        let cases = [
            (answer("500 Internal Server Error", ""), "answers with status 500"),
            (answer("200 OK", "{\"Family\": \"curltest\"}"), "cannot be read: missing field `Cluster`"),
            ("nonsense\r\n\r\n".to_owned(), "does not answer: invalid HTTP version parsed"),
            (String::new(), "does not answer: connection closed before message completed"),
            (answer("200 OK", "short").replace(": 5", ": 50"), "does not answer"),
        ];
        for (served, expected) in cases {
            let (base, _asked) = serve(served).await;
            let error = told(&OwnTask::ask(&base).await.unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
        for base in ["https://169.254.170.2/v4/x", "169.254.170.2/v4", ""] {
            assert!(matches!(OwnTask::ask(base).await, Err(OwnTaskError::Url { .. })), "{base}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_silent_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let held = tokio::spawn(async move { listener.accept().await });
        let error = told(&OwnTask::ask(&base).await.unwrap_err());
        assert!(error.ends_with("does not answer: deadline has elapsed"), "{error}");
        held.abort();
    }
}
