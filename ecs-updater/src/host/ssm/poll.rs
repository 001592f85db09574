//! Asks SSM how commands ended, beside the loop.

use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};

use crate::aws::ssm::Invocation;
use crate::aws::{Aws, AwsError};

/// How long a look waits for what SSM says of the commands: it answers in a fraction of a second, and what takes longer
/// is heard while the loop goes on.
const HEARD_WITHIN: Duration = Duration::from_secs(2);

/// The questions that SSM is asked about commands, one after the other. They are asked beside the loop: while SSM hangs,
/// the loop goes on without the answers.
#[derive(Default)]
pub(super) struct Poll {
    answers: Option<Answers>,
    /// What was answered and not read yet.
    pub(super) heard: Vec<Answer>,
    /// The last answer did not come, or not in time.
    pub(super) is_unheard: bool,
}

type Answers = Pin<Box<dyn Stream<Item = Answer>>>;

/// What SSM says of the command with this id.
pub(super) type Answer = (String, Result<Vec<Invocation>, AwsError>);

impl std::fmt::Debug for Poll {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Poll").field("heard", &self.heard).field("is_unheard", &self.is_unheard).finish_non_exhaustive()
    }
}

impl Poll {
    /// Asks about these commands, unless an earlier question is still open.
    pub(super) fn ask(&mut self, aws: &Aws, ids: Vec<String>) {
        if self.answers.is_none() && !ids.is_empty() {
            let aws = aws.clone();
            let ask = move |id: String| {
                let aws = aws.clone();
                async move {
                    let answer = aws.invocations(&id).await;
                    (id, answer)
                }
            };
            self.answers = Some(Box::pin(futures_util::stream::iter(ids).then(ask)));
        }
    }

    /// Waits for the next answer, and without end while nothing is asked. An answer is kept although nobody waits any more.
    pub(super) async fn next(&mut self) {
        let Some(answers) = &mut self.answers else { return std::future::pending().await };
        match answers.next().await {
            Some(answer) => {
                self.is_unheard = matches!(&answer.1, Err(error) if error.kind.is_silence());
                self.heard.push(answer);
            }
            None => self.answers = None,
        }
    }

    /// Waits for the answers, for a while.
    pub(super) async fn hear(&mut self) {
        let all = async {
            while self.answers.is_some() {
                self.next().await;
            }
        };
        if tokio::time::timeout(HEARD_WITHIN, all).await.is_err() {
            self.is_unheard = true;
        }
    }
}
