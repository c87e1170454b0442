// Removes a directory with all that is in it. Thread: any.
#ifndef COFFER_BASE_TREE_H
#define COFFER_BASE_TREE_H

// Follows no symbolic link, and does not mind how deep it goes. 0 when it is gone or was not there; -1: something is left
// (errno). Nobody else should be changing it meanwhile.
int tree_remove(int parent, const char *name);

#endif
