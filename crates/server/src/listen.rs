//! Where a server listens.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::PathBuf;
use std::str::FromStr;

use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};

/// Connections the kernel holds until they are accepted. It takes no more than net.core.somaxconn says.
const BACKLOG: u32 = 4096;

/// An address to listen on: `HOST:PORT`, or `unix:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// A TCP port; 0 picks one.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// Why listening is not possible.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Neither form.
    #[error("`{text}` is not an address; write HOST:PORT or unix:PATH")]
    Address {
        /// As given.
        text: String,
    },
    /// Whoever reaches it could run programs.
    #[error("`{address}` can be reached from other machines, and no token is asked for")]
    Open {
        /// The address.
        address: SocketAddr,
    },
    /// The kernel refuses.
    #[error("cannot listen on `{address}`")]
    Bind {
        /// The address.
        address: ListenAddress,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Something that listens.
#[derive(Debug)]
pub struct Listener {
    inner: Inner,
    address: ListenAddress,
}

#[derive(Debug)]
enum Inner {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// An accepted connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl FromStr for ListenAddress {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, ListenError> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        let found = text.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
        found.map(Self::Tcp).ok_or_else(|| ListenError::Address { text: text.to_owned() })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Listener {
    /// Listens on `address`. Without a token only this machine's own processes may reach it.
    pub fn bind(address: &ListenAddress, has_token: bool) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Bind { address: address.clone(), source };
        let inner = match address {
            ListenAddress::Tcp(address) if !has_token && !address.ip().is_loopback() => {
                return Err(ListenError::Open { address: *address });
            }
            ListenAddress::Tcp(address) => Inner::Tcp(bind_tcp(*address).map_err(failed)?),
            ListenAddress::Unix(path) => {
                // Left by a server that was killed: nobody answers there.
                let is_socket = path.symlink_metadata().is_ok_and(|known| known.file_type().is_socket());
                let is_dead = || {
                    let refused = std::os::unix::net::UnixStream::connect(path).err();
                    refused.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
                };
                if is_socket && is_dead() {
                    std::fs::remove_file(path).map_err(failed)?;
                }
                Inner::Unix(UnixListener::bind(path).map_err(failed)?)
            }
        };
        let address = match &inner {
            Inner::Tcp(listener) => ListenAddress::Tcp(listener.local_addr().map_err(failed)?),
            Inner::Unix(_) => address.clone(),
        };
        Ok(Self { inner, address })
    }

    /// Where it listens, with the port that was picked.
    pub const fn address(&self) -> &ListenAddress {
        &self.address
    }

    pub(crate) async fn accept(&self) -> io::Result<Stream> {
        match &self.inner {
            Inner::Tcp(listener) => {
                let (stream, _peer) = listener.accept().await?;
                // Replies are written whole: waiting to fill a packet only delays them.
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Inner::Unix(listener) => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let ListenAddress::Unix(path) = &self.address {
            // Whoever removed it before us did our work.
            let _gone = std::fs::remove_file(path);
        }
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A server that is started again need not wait for the connections of the last one to be forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_or_named() {
        for (text, expected) in
            [("127.0.0.1:80", "127.0.0.1:80"), ("unix:/run/a b", "unix:/run/a b"), ("[::1]:0", "[::1]:0")]
        {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), expected);
        }
        for text in ["", "unix:", "127.0.0.1", "127.0.0.1:99999"] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn other_machines_need_a_token() {
        let open: ListenAddress = "0.0.0.0:0".parse().unwrap();
        assert!(matches!(Listener::bind(&open, false), Err(ListenError::Open { .. })));
        let own: ListenAddress = "127.0.0.1:0".parse().unwrap();
        assert_ne!(*Listener::bind(&own, false).unwrap().address(), own);
    }
}
