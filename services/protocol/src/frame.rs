//! A message of any transport.

use bytes::Bytes;
use model::Text;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    Text(Text),
    Binary(Bytes),
}

impl Frame {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(Text::from(text.into()))
    }

    pub fn as_bytes(&self) -> &Bytes {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}
