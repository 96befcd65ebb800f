"""What is asked of both engines, by subject; each public function is a case."""
