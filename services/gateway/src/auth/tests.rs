//! Each way in which a credential can be wrong, and the exact answer to it.

use model::{
    ApiKey, App, AppCode, AppId, AppLimits, AppState, Environment, Reason, RuleSet, Signature,
    SigningKey,
};
use protocol::AppRef;
use protocol::server_api::ApiCredential;

use super::bearer::{self, Generated};
use super::origin::{self, OriginError, OriginRefusal};
use super::signature::unhex;
use super::{verify_api, verify_body, verify_signature};

fn app(api_keys: Vec<ApiKey>, origins: &[&str]) -> App {
    App {
        id: AppId(3),
        code: AppCode::parse("demo").unwrap(),
        state: AppState::Active,
        environment: Environment::Production,
        dialects: vec!["raw", "pusher"],
        origins: origins.iter().map(|text| String::from(*text)).collect(),
        echo: false,
        client_events: false,
        subscription_counts: false,
        // The pair of Pusher's public worked examples, and one beside it.
        keys: vec![
            signing_key("278d425bdf160c739803", "7ad3773142a6692b25b8"),
            signing_key("second-key", "second-secret-0123456789"),
        ],
        api_keys,
        limits: AppLimits::default(),
        rules: RuleSet::new(Vec::new()).unwrap(),
    }
}

fn signing_key(key: &str, secret: &str) -> SigningKey {
    SigningKey { key: String::from(key), secret: secret.as_bytes().to_vec() }
}

fn signature(key: &str, message: &str, digest: &str) -> Signature {
    Signature {
        key: String::from(key),
        message: String::from(message),
        digest: String::from(digest),
    }
}

const KEY: &str = "278d425bdf160c739803";
const PRIVATE: &str = "1234.1234:private-foobar";
const PRIVATE_DIGEST: &str = "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4";

#[test]
fn signature_holds_for_one_key_one_message_and_one_spelling() {
    let upper = PRIVATE_DIGEST.to_ascii_uppercase();
    let flipped = format!("6{}", &PRIVATE_DIGEST[1..]);
    let spaced = format!(" {PRIVATE_DIGEST}");
    let rows = [
        ("right", KEY, PRIVATE, PRIVATE_DIGEST, true),
        ("unknown key", "nobody", PRIVATE, PRIVATE_DIGEST, false),
        ("no key", "", PRIVATE, PRIVATE_DIGEST, false),
        ("another key of the app", "second-key", PRIVATE, PRIVATE_DIGEST, false),
        ("key in other case", &KEY.to_ascii_uppercase(), PRIVATE, PRIVATE_DIGEST, false),
        ("another connection", KEY, "1234.1235:private-foobar", PRIVATE_DIGEST, false),
        ("another channel", KEY, "1234.1234:private-foobaz", PRIVATE_DIGEST, false),
        ("no message", KEY, "", PRIVATE_DIGEST, false),
        ("no digest", KEY, PRIVATE, "", false),
        ("digest in upper case", KEY, PRIVATE, &upper, false),
        ("digest cut off", KEY, PRIVATE, &PRIVATE_DIGEST[..62], false),
        ("digest cut within a byte", KEY, PRIVATE, &PRIVATE_DIGEST[..63], false),
        ("digest with one bit wrong", KEY, PRIVATE, &flipped, false),
        ("digest with a space before", KEY, PRIVATE, &spaced, false),
        ("digest of zeros", KEY, PRIVATE, &"0".repeat(64), false),
        ("digest not hex", KEY, PRIVATE, &"g".repeat(64), false),
        ("digest not ASCII", KEY, PRIVATE, &"é".repeat(32), false),
    ];
    let app = app(Vec::new(), &[]);
    for (name, key, message, digest, holds) in rows {
        assert_eq!(verify_signature(&app, &signature(key, message, digest)), holds, "{name}");
    }
}

/// The stand-in for an unknown key's secret opens nothing.
#[test]
fn signature_by_nobody_is_refused() {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"no app signs with this");
    let tag = ring::hmac::sign(&key, PRIVATE.as_bytes());
    let digest: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(!verify_signature(&app(Vec::new(), &[]), &signature("nobody", PRIVATE, &digest)));
}

const BODY: &str = r#"{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}"#;
const BODY_MD5: &str = "ec365a775a4cd0599faeb73354201b6f";
const SIGNED_AT: u64 = 1_353_088_179;

/// Pusher's public worked example.
fn credential() -> ApiCredential {
    let message = format!(
        "POST\n/apps/3/events\nauth_key={KEY}&auth_timestamp={SIGNED_AT}&auth_version=1.0\
         &body_md5={BODY_MD5}"
    );
    let digest = "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c";
    ApiCredential {
        app: AppRef::Id(3),
        signature: signature(KEY, &message, digest),
        timestamp: SIGNED_AT,
        body_md5: Some(String::from(BODY_MD5)),
    }
}

#[test]
fn api_request_is_of_now_and_about_its_body() {
    type Change = fn(&mut ApiCredential);
    let rows: &[(&str, Change, &str, u64, Option<&str>)] = &[
        ("right", |_| {}, BODY, SIGNED_AT, None),
        ("at the edge, late", |_| {}, BODY, SIGNED_AT + 600, None),
        ("at the edge, early", |_| {}, BODY, SIGNED_AT - 600, None),
        ("late", |_| {}, BODY, SIGNED_AT + 601, Some("auth_timestamp")),
        ("early", |_| {}, BODY, SIGNED_AT - 601, Some("auth_timestamp")),
        ("far away", |_| {}, BODY, 0, Some("auth_timestamp")),
        ("other body", |_| {}, "{}", SIGNED_AT, Some("body_md5 is not")),
        ("body with a newline more", |_| {}, "\n", SIGNED_AT, Some("body_md5 is not")),
        ("no body", |_| {}, "", SIGNED_AT, Some("body_md5 is not")),
        ("no MD5", |c| c.body_md5 = None, BODY, SIGNED_AT, Some("body_md5 is missing")),
        ("no MD5, no body", |c| c.body_md5 = None, "", SIGNED_AT, None),
        (
            "MD5 in upper case",
            |c| c.body_md5 = Some(BODY_MD5.to_ascii_uppercase()),
            BODY,
            SIGNED_AT,
            Some("body_md5 is not"),
        ),
        (
            "MD5 of nothing",
            |c| c.body_md5 = Some(String::from("d41d8cd98f00b204e9800998ecf8427e")),
            "",
            SIGNED_AT,
            None,
        ),
        (
            "wrong signature and everything else too",
            |c| c.signature.digest = "0".repeat(64),
            "x",
            0,
            Some("the signature does not hold"),
        ),
        (
            "unknown key",
            |c| c.signature.key = String::from("nobody"),
            BODY,
            SIGNED_AT,
            Some("the signature does not hold"),
        ),
    ];
    let app = app(Vec::new(), &[]);
    for (name, change, body, now, refused) in rows {
        let mut credential = credential();
        change(&mut credential);
        let answer = verify_api(&app, &credential, *now)
            .and_then(|()| verify_body(&credential, body.as_bytes()));
        match (answer, refused) {
            (Ok(()), None) => {}
            (Err(error), Some(part)) => {
                assert_eq!((error.status, error.reason), (401, Reason::Unauthorized), "{name}");
                assert!(error.detail.contains(part), "{name}: {}", error.detail);
            }
            (answer, _) => panic!("{name}: {answer:?}"),
        }
    }
}

#[test]
fn hex_is_lower_case_and_of_one_length() {
    assert_eq!(unhex::<2>("00ff"), Some([0, 255]));
    assert_eq!(unhex::<2>("a9B0"), None);
    for text in ["", "0", "00f", "00fff", "00 f", "0x00", "00fg"] {
        assert_eq!(unhex::<2>(text), None, "{text}");
    }
}

fn api_key(generated: &Generated) -> ApiKey {
    ApiKey { key_id: generated.key_id.clone(), sha256: generated.sha256 }
}

#[test]
fn generated_key_parses_and_opens_its_app_only() {
    let mine = bearer::generate(Environment::Production);
    let text = mine.text.expose();
    assert!(text.starts_with("whf_skl_") && text.len() == 8 + 12 + 1 + 32 + 6, "{text}");
    assert_eq!(bearer::parse(text).unwrap().key_id, mine.key_id);
    assert!(bearer::generate(Environment::Development).text.expose().starts_with("whf_skd_"));
    assert_ne!(bearer::generate(Environment::Production).text, mine.text);
    assert!(!format!("{mine:?} {:?}", bearer::parse(text)).contains(&text[21..]));

    let header = format!("Bearer {text}");
    let theirs = bearer::generate(Environment::Production);
    let open = |app: Option<&App>| bearer::verify(app, [header.as_bytes()]).is_ok();
    assert!(open(Some(&app(vec![api_key(&theirs), api_key(&mine)], &[]))));
    assert!(!open(Some(&app(vec![api_key(&theirs)], &[]))));
    assert!(!open(Some(&app(Vec::new(), &[]))));
    assert!(!open(None));
}

/// The form is published: a key made elsewhere must not depend on this code. The check is CRC-32
/// (the one of zlib) of what stands before it, in base 62.
#[test]
fn check_is_the_published_one() {
    let key = "whf_skl_7Qx2mB9dKfPz_0123456789abcdefghijklmnopqrstuv";
    let mut crc = crc32fast::hash(key.as_bytes());
    let alphabet: Vec<char> = ('0'..='9').chain('A'..='Z').chain('a'..='z').collect();
    let mut check = Vec::new();
    for _ in 0..6 {
        check.insert(0, alphabet[usize::try_from(crc % 62).unwrap()]);
        crc /= 62;
    }
    let check: String = check.into_iter().collect();
    assert!(bearer::parse(&format!("{key}{check}")).is_some());
    assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
}

/// P-01, P-02, P-05.
#[test]
fn bearer_headers_that_do_not_hold_are_answered_alike() {
    let key = bearer::generate(Environment::Production);
    let app = app(vec![api_key(&key)], &[]);
    let text = key.text.expose();
    let bearer = |text: &str| format!("Bearer {text}");

    for right in [bearer(text), format!("bearer {text}"), format!("BEARER  {text} ")] {
        assert_eq!(bearer::verify(Some(&app), [right.as_bytes()]), Ok(()), "{right}");
    }

    let swap = |from: usize| {
        let mut bytes = text.as_bytes().to_vec();
        bytes[from] = if bytes[from] == b'2' { b'3' } else { b'2' };
        String::from_utf8(bytes).unwrap()
    };
    let other = bearer::generate(Environment::Production);
    let imitation = reseal(&format!("whf_skl_{}_{}", key.key_id, "a".repeat(32)));
    let rows = [
        ("P-01 wrong scheme", format!("Basic {text}")),
        ("P-01 no scheme", String::from(text)),
        ("P-01 empty", String::new()),
        ("P-01 empty bearer", String::from("Bearer ")),
        ("P-01 bearer alone", String::from("Bearer")),
        ("P-02 unknown key id", bearer(other.text.expose())),
        ("P-02 right id, wrong secret", bearer(&imitation)),
        ("P-02 bad checksum", bearer(&swap(text.len() - 1))),
        ("slip in the secret", bearer(&swap(30))),
        ("slip in the key id", bearer(&swap(10))),
        ("cut off", bearer(&text[..text.len() - 1])),
        ("one more", bearer(&format!("{text}0"))),
        ("other kind", bearer(&reseal(&text[..53].replacen("whf_sk", "whf_pk", 1)))),
        ("other environment", bearer(&text.replacen("skl", "skd", 1))),
        ("twice", format!("Bearer {text} {text}")),
        ("with a comma", format!("Bearer {text},{text}")),
    ];
    let missing = bearer::verify(Some(&app), []).unwrap_err();
    assert_eq!((missing.status, missing.reason), (401, Reason::Unauthorized));
    for (name, header) in rows {
        assert_eq!(bearer::verify(Some(&app), [header.as_bytes()]), Err(missing.clone()), "{name}");
        assert_eq!(bearer::verify(None, [header.as_bytes()]), Err(missing.clone()), "{name}");
    }
    let not_text: &[u8] = b"Bearer \xff";
    assert_eq!(bearer::verify(Some(&app), [not_text]), Err(missing));
    let right = bearer(text);
    let twice = bearer::verify(Some(&app), [right.as_bytes(), right.as_bytes()]).unwrap_err();
    assert_eq!((twice.status, twice.reason), (400, Reason::BadMessage));
}

/// `body` with a right check, found by trying, so that only the look-up can refuse it.
fn reseal(body: &str) -> String {
    let alphabet: Vec<u8> = (b'0'..=b'9').chain(b'A'..=b'Z').chain(b'a'..=b'z').collect();
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut check = [b'0'; 6];
    for place in check.iter_mut().rev() {
        *place = alphabet[usize::try_from(rest % 62).unwrap()];
        rest /= 62;
    }
    format!("{body}{}", String::from_utf8(check.to_vec()).unwrap())
}

#[test]
fn origins_have_one_spelling() {
    let rows = [
        ("https://app.example.com", Ok("https://app.example.com")),
        ("HTTPS://App.Example.COM:443", Ok("https://app.example.com")),
        ("http://localhost:80", Ok("http://localhost")),
        ("http://localhost:3000", Ok("http://localhost:3000")),
        ("https://a.example:80", Ok("https://a.example:80")),
        ("http://[::1]:8080", Ok("http://[::1]:8080")),
        ("http://127.0.0.1", Ok("http://127.0.0.1")),
        ("capacitor://localhost", Ok("capacitor://localhost")),
        ("chrome-extension://abcdef", Ok("chrome-extension://abcdef")),
        ("null", Ok("null")),
        ("*", Err(OriginError::Any)),
        ("https://*.example.com", Err(OriginError::Wildcard)),
        ("app.example.com", Err(OriginError::Scheme)),
        ("", Err(OriginError::Scheme)),
        ("://a", Err(OriginError::Scheme)),
        ("1a://b", Err(OriginError::Scheme)),
        ("https://", Err(OriginError::Host)),
        ("https://:443", Err(OriginError::Host)),
        ("https://a.example/", Err(OriginError::Path)),
        ("https://a.example/chat", Err(OriginError::Path)),
        ("https://a.example?x", Err(OriginError::Path)),
        ("https://user@a.example", Err(OriginError::Path)),
        ("https://a.example\\b", Err(OriginError::Path)),
        ("https://a.example:0", Err(OriginError::Port)),
        ("https://a.example:", Err(OriginError::Port)),
        ("https://a.example:65536", Err(OriginError::Port)),
        ("https://a.example:+1", Err(OriginError::Port)),
        ("https://a.example:80:80", Err(OriginError::Port)),
        ("https://a b", Err(OriginError::Character)),
        ("https://[::1", Err(OriginError::Character)),
        ("https://[::1]x", Err(OriginError::Character)),
        ("https://[a]", Err(OriginError::Character)),
        ("https://bücher.example", Err(OriginError::NotAscii)),
    ];
    for (text, expected) in rows {
        assert_eq!(origin::normalise(text).as_deref().map_err(|e| *e), expected, "{text}");
        if let Ok(normal) = expected {
            assert_eq!(origin::normalise(normal).as_deref(), Ok(normal), "twice: {text}");
        }
    }
}

const APP: &[&str] = &["https://app.example.com"];
const NULL: &[&str] = &["null"];
const NONE: &[&str] = &[];
const REFUSED: Result<(), OriginRefusal> = Err(OriginRefusal::NotListed);
const MALFORMED: Result<(), OriginRefusal> = Err(OriginRefusal::Malformed);
type Row =
    (&'static str, &'static [&'static str], &'static [&'static [u8]], Result<(), OriginRefusal>);
const ORIGINS: &[Row] = &[
    ("listed", APP, &[b"https://app.example.com"], Ok(())),
    ("H-22", APP, &[b"https://other.example"], REFUSED),
    ("H-23", APP, &[b"https://app.example.com.evil.io"], REFUSED),
    ("H-24", APP, &[b"https://evilapp.example.com"], REFUSED),
    ("H-24 subdomain", APP, &[b"https://x.app.example.com"], REFUSED),
    ("H-25 port", APP, &[b"https://app.example.com:8443"], REFUSED),
    ("H-25 scheme", APP, &[b"http://app.example.com"], REFUSED),
    ("H-25 scheme, its port", APP, &[b"http://app.example.com:443"], REFUSED),
    ("H-26 capitals", APP, &[b"HTTPS://APP.example.COM"], Ok(())),
    ("H-26 default port", APP, &[b"https://app.example.com:443"], Ok(())),
    ("H-27 null", APP, &[b"null"], REFUSED),
    ("H-27 null listed", NULL, &[b"null"], Ok(())),
    ("H-27 only null listed", NULL, &[b"https://app.example.com"], REFUSED),
    ("H-28 two headers", APP, &[b"https://app.example.com", b"https://app.example.com"], MALFORMED),
    ("H-28 two headers, no list", NONE, &[b"https://a.example", b"https://b.example"], MALFORMED),
    ("H-28 comma", APP, &[b"https://app.example.com, https://evil.io"], MALFORMED),
    ("H-29 IDN", APP, &["https://аpp.example.com".as_bytes()], REFUSED),
    ("H-29 punycode", APP, &[b"https://xn--pp-6kc.example.com"], REFUSED),
    ("H-29 full stop of another script", APP, &["https://app。example.com".as_bytes()], REFUSED),
    ("H-30", APP, &[b"https://app.example.com\xff"], MALFORMED),
    ("H-30 no list", NONE, &[b"\xff"], MALFORMED),
    ("H-31", APP, &[], Ok(())),
    ("no list", NONE, &[b"https://anyone.example"], Ok(())),
    ("no list, null", NONE, &[b"null"], Ok(())),
    ("trailing dot", APP, &[b"https://app.example.com."], REFUSED),
    ("trailing slash", APP, &[b"https://app.example.com/"], REFUSED),
    ("user info", APP, &[b"https://app.example.com@evil.io"], REFUSED),
    ("space before", APP, &[b" https://app.example.com"], REFUSED),
    ("empty", APP, &[b""], REFUSED),
    ("star", APP, &[b"*"], REFUSED),
];

/// H-22 to H-31.
#[test]
fn origins_are_matched_exactly() {
    for (name, listed, headers, expected) in ORIGINS {
        let app = app(Vec::new(), listed);
        assert_eq!(origin::allowed(&app, headers.iter().copied()), *expected, "{name}");
    }
    assert_eq!((OriginRefusal::Malformed.status(), OriginRefusal::NotListed.status()), (400, 403));
}
