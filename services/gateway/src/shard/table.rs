//! One shard's connections, by seat, and the users among them.

use std::rc::Rc;

use ahash::AHashMap;
use model::{AppId, ConnectionId, UserId};

use crate::connection::Connection;
use crate::shard::ring::Seat;

#[derive(Debug, Default)]
pub(crate) struct Table {
    seats: Vec<(u32, Option<Rc<Connection>>)>,
    free: Vec<u32>,
    users: AHashMap<(AppId, UserId), Vec<Seat>>,
}

impl Table {
    pub(crate) fn insert(&mut self, connection: Rc<Connection>) -> Seat {
        let index = self.free.pop().unwrap_or_else(|| {
            self.seats.push((0, None));
            u32::try_from(self.seats.len() - 1).expect("fewer than 2^32 connections a shard")
        });
        let (generation, seat) = &mut self.seats[index as usize];
        *seat = Some(connection);
        Seat { index, generation: *generation }
    }

    pub(crate) fn remove(&mut self, seat: Seat) {
        if self.get(seat).is_some() {
            let (generation, occupant) = &mut self.seats[seat.index as usize];
            *generation = generation.wrapping_add(1);
            *occupant = None;
            self.free.push(seat.index);
        }
    }

    /// Who sits there, if it is still the one who was given `seat`.
    pub(crate) fn get(&self, seat: Seat) -> Option<&Rc<Connection>> {
        let (generation, occupant) = self.seats.get(seat.index as usize)?;
        occupant.as_ref().filter(|_| *generation == seat.generation)
    }

    pub(crate) fn len(&self) -> usize {
        self.seats.len() - self.free.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Rc<Connection>> {
        self.seats.iter().filter_map(|(_, occupant)| occupant.as_ref())
    }

    pub(crate) fn find(&self, app: AppId, id: ConnectionId) -> Option<&Rc<Connection>> {
        self.iter().find(|connection| connection.id == id && connection.app_id == app)
    }

    pub(crate) fn of_user(&self, app: AppId, user: &UserId) -> Vec<Rc<Connection>> {
        let seats = self.users.get(&(app, user.clone())).map_or(&[][..], Vec::as_slice);
        seats.iter().filter_map(|&seat| self.get(seat).map(Rc::clone)).collect()
    }

    pub(crate) fn sign_in(&mut self, app: AppId, user: UserId, seat: Seat) {
        self.users.entry((app, user)).or_default().push(seat);
    }

    pub(crate) fn sign_out(&mut self, app: AppId, user: &UserId, seat: Seat) {
        let key = (app, user.clone());
        if let Some(seats) = self.users.get_mut(&key) {
            seats.retain(|&other| other != seat);
            if seats.is_empty() {
                self.users.remove(&key);
            }
        }
    }
}
