//! SSM: the configuration as a parameter.

use super::client::Aws;
use super::error::AwsError;

impl Aws {
    /// The value of a parameter, decrypted; `None` where there is none of that name.
    pub(crate) async fn parameter(&self, name: &str) -> Result<Option<String>, AwsError> {
        let answer = self.ssm.get_parameter().name(name).with_decryption(true).send().await;
        match answer.map_err(|error| AwsError::from_sdk("ssm:GetParameter", error)) {
            Ok(answer) => Ok(answer.parameter.and_then(|parameter| parameter.value)),
            Err(error) if matches!(error.code(), Some("ParameterNotFound" | "ParameterVersionNotFound")) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
