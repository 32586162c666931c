"""What speaks to a hub from outside: simulators of every actor, and the stories they play through its sockets."""
