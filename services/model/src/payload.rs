//! What a publication carries: bytes that stay exactly as the publisher sent them.

use bytes::Bytes;

/// Text or binary, as published. A dialect that cannot carry one kind says how it encodes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// The decoded string where the publisher sent a JSON string, else its JSON text as sent.
    Text(Text),
    Binary(Bytes),
}

/// Bytes that are known to be UTF-8.
#[derive(Clone, PartialEq, Eq)]
pub struct Text(Bytes);

impl Payload {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(Text::from(text.into()))
    }

    pub fn as_bytes(&self) -> &Bytes {
        match self {
            Self::Text(text) => &text.0,
            Self::Binary(bytes) => bytes,
        }
    }

    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }
}

impl Text {
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only made from UTF-8")
    }

    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Bytes::from(text))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl TryFrom<Bytes> for Text {
    type Error = std::str::Utf8Error;

    fn try_from(bytes: Bytes) -> Result<Self, Self::Error> {
        std::str::from_utf8(&bytes)?;
        Ok(Self(bytes))
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_str().fmt(f)
    }
}
