"""What stands between the socket and the routes: limits, hosts, authentication, headers, access log."""
