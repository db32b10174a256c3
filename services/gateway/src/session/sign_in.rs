//! A living connection says which user it is.

use model::{Member, Reason, Refusal, Reply, Signature};

use crate::auth;
use crate::session::{Session, unauthorized};

impl Session {
    pub(super) fn sign_in(
        &mut self,
        signature: &Signature,
        user: Member,
        data: String,
    ) -> Result<Reply, Refusal> {
        let connection = &self.connection;
        if !auth::verify_signature(&connection.app.config(), signature) {
            return Err(unauthorized("the signature of the sign-in does not hold"));
        }
        match &self.user {
            Some(present) if present.user != user.user => {
                let detail = "this connection has signed in as another user";
                return Err(Refusal::new(Reason::Conflict, detail));
            }
            Some(_) => self.user = Some(user),
            None => self.is_user(user),
        }
        Ok(Reply::SignedIn { data })
    }

    /// From now on it can be found, and disconnected, by its user.
    pub(crate) fn is_user(&mut self, user: Member) {
        self.connection.shard.sign_in(&self.connection, user.user.clone());
        self.user = Some(user);
    }
}
