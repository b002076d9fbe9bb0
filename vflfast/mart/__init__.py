"""The data mart: a store of feature classes by protected id, and the tables that a host takes from it."""
