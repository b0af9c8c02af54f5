//! Forwarding over real loopback connections: what reached the upstream, and what reached the client.

#[cfg(test)]
mod support;

#[cfg(test)]
mod failures;
#[cfg(test)]
mod hygiene;
#[cfg(test)]
mod pool;
#[cfg(test)]
mod streaming;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod upgrade;
