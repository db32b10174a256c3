//! The message that a presigned URL signs.

use model::AppCode;

/// What to sign for a raw URL of an app: HMAC-SHA256 under a key's secret, lower-case hex, goes into
/// `signature`. The parameters are decoded, in any order, and may include `signature`, which is
/// left out.
///
/// ```
/// let app = model::AppCode::parse("demo").expect("a code");
/// let parameters = [("key", "k1"), ("expires", "1700000000"), ("channel", "private-x")];
/// let message = protocol::raw::sign::message(&app, &parameters);
/// assert_eq!(message, "raw\ndemo\nchannel=private-x&expires=1700000000&key=k1");
/// ```
pub fn message(app: &AppCode, parameters: &[(impl AsRef<str>, impl AsRef<str>)]) -> String {
    // No escaping is needed for the message to have one reading: only `key` and `user_id` are of
    // free form, the key must be one that the app has, and no parameter sorts after `user_id`.
    let mut signed: Vec<(&str, &str)> = parameters
        .iter()
        .map(|(name, value)| (name.as_ref(), value.as_ref()))
        .filter(|(name, _)| *name != "signature")
        .collect();
    signed.sort_unstable();
    let mut message = format!("raw\n{app}\n");
    for (index, (name, value)) in signed.iter().enumerate() {
        if index > 0 {
            message.push('&');
        }
        message.push_str(name);
        message.push('=');
        message.push_str(value);
    }
    message
}
