//! Lambda: what a function returns, and what Lambda says without it.

use super::*;

const FUNCTION: &str = "arn:aws:lambda:eu-central-1:111122223333:function:ready";

#[tokio::test(start_paused = true)]
async fn a_functions_error_is_a_success_and_a_refusal_is_none() {
    let text = format!(
        "[[instances]]\n[[function]]\narn = {FUNCTION:?}\nstep = 'before_run'\nanswers = ['ok', 'wait 5', 'error', 'hang']\n\
         timeout = '3s'\n[[fault]]\noperation = 'lambda:Invoke'\nerror = 'TooManyRequestsException'\nnth = 6"
    );
    let region = region(&text);
    let ask = |function: &str, step: &str| Request {
        function: Some(function.to_owned()),
        body: format!("{{\"step\": {step:?}}}").into(),
        ..Request::default()
    };
    let table = [
        (FUNCTION, "before_run", 200, None, None, "{\"answer\":\"ok\"}"),
        (FUNCTION, "before_run", 200, None, None, "{\"answer\":\"wait\",\"seconds\":5}"),
        (FUNCTION, "before_run", 200, None, Some("Unhandled"), "NameError"),
        (FUNCTION, "before_run", 200, None, Some("Unhandled"), "Task timed out after 3.00 seconds"),
        (FUNCTION, "after_run", 404, Some("ResourceNotFoundException"), None, "Function not found"),
        (FUNCTION, "before_run", 429, Some("TooManyRequestsException"), None, "TooManyRequestsException"),
        ("ready", "before_run", 404, Some("ResourceNotFoundException"), None, "Function not found"),
    ];
    for (function, step, status, error_type, function_error, words) in table {
        let answer = region.call(ask(function, step)).await.unwrap();
        let body = String::from_utf8(answer.body).unwrap();
        assert_eq!((answer.status, answer.error_type.as_deref()), (status, error_type), "{body}");
        assert_eq!(answer.function_error, function_error, "{body}");
        assert!(body.contains(words), "{body}");
    }
}
