"""Groups of similar things, from their similarities: motifs, outputs of a model."""

import numpy as np

__all__ = ["Cluster", "clusters"]

# The most central member, and all members in ascending order.
Cluster = tuple[int, list[int]]


def clusters(similarity: np.ndarray, most: int) -> list[Cluster]:
    """Group items by Ward's clustering.

    Parameters
    ----------
    similarity : float64[n, n]
        Inner products of the items as unit vectors, -1 to 1; symmetric.
    most : int
        Maximum number of groups. With no more items than that, each is a group.

    Returns
    -------
    list of (int, list of int)
        In the order of their first members: the member that is most similar to the others of its
        group, and all members.
    """
    if len(similarity) <= most:
        return [(i, [i]) for i in range(len(similarity))]
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    distance = squareform(np.sqrt(np.maximum(2 - 2 * similarity, 0)), checks=False)
    label = fcluster(linkage(distance, "ward"), most, criterion="maxclust")
    groups = [np.flatnonzero(label == group) for group in dict.fromkeys(label)]
    return [
        (int(members[similarity[np.ix_(members, members)].sum(1).argmax()]), members.tolist())
        for members in groups
    ]
