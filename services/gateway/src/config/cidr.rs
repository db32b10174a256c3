//! Blocks of addresses (`10.0.0.0/8`), and the proxies that are believed.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A block of addresses. An address alone is a block of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    bits: u8,
}

/// Who may say in `X-Forwarded-For` for whom it connects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    pub blocks: Vec<Cidr>,
    /// Entries of the header that are looked at, from the right.
    pub hops_max: usize,
}

/// Why a text is no block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    #[error("is not an address or block; write it as 10.0.0.0/8 or 2001:db8::/32")]
    Form,
    #[error("has a prefix longer than its address; use at most {0} bits")]
    Bits(u8),
    #[error("has bits set beyond its prefix; write {0}")]
    HostBits(Cidr),
}

impl Cidr {
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.network.is_ipv4() && masked(address, self.bits) == self.network
    }

    /// Whether it is all of an address family.
    pub fn is_everyone(&self) -> bool {
        self.bits == 0
    }
}

impl TrustedProxies {
    pub fn contains(&self, address: IpAddr) -> bool {
        self.blocks.iter().any(|block| block.contains(address))
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let network: IpAddr = address.parse().map_err(|_| CidrError::Form)?;
        let most = if network.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) if bits.is_empty() || !bits.bytes().all(|b| b.is_ascii_digit()) => {
                return Err(CidrError::Form);
            }
            Some(bits) => bits.parse().ok().filter(|b| *b <= most).ok_or(CidrError::Bits(most))?,
        };
        let block = Self { network: masked(network, bits), bits };
        if block.network == network { Ok(block) } else { Err(CidrError::HostBits(block)) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.bits)
    }
}

fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}
