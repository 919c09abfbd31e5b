//! Everything about the client that needs no Snowflake: decoding against golden samples and properties, and the
//! protocol against a server that replays the documents' answers.

#[cfg(test)]
mod chunk_query;
#[cfg(test)]
mod decode;
#[cfg(test)]
mod kept;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod protocol;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod scanner;
#[cfg(test)]
mod sink;
