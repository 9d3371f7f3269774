# After hale/apply/karmada_client.sh. Karmada's members, and its policies of taints: a line of JSON each.
karmada get clusters -o 'jsonpath={.items}'; echo
karmada get clustertaintpolicies -o 'jsonpath={.items}'; echo
